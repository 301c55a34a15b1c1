"""The one convolution primitive, fast in value and gradients on every backend.

XLA's CPU backend turns the kernel gradient of many convolutions into a naive loop, and inside the
bodies of loops the input gradient too; a fused chunk of steps is then several times slower than the
steps one by one. So on the CPU the gradients are spelled out with operations that stay fast:

- input gradient: the same primitive, on the padded output gradient with the flipped, swapped kernel
  (so that second derivatives, as gradient penalties need them, take the fast path too);
- kernel gradient: one matrix product a kernel tap;
- a strided convolution is space-to-depth followed by a stride-1 convolution, and a transposed one
  is a stride-1 convolution followed by depth-to-space (Shi et al. 2016, arXiv:1609.05158, §3), so
  that only stride 1 is ever differentiated.

On GPU and TPU these are the native operation with its own gradients. The values agree to rounding.
All images are f[B, H, W, C]; all kernels f[kh, kw, Cin, Cout]; padding is in pixels.
"""

import jax
import jax.numpy as jnp

Padding = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right)), never negative

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def _native(x, kernel, stride: int, padding: Padding, dilation: int = 1):
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        lhs_dilation=(dilation, dilation),
        dimension_numbers=_DIMENSIONS,
    )


@jax.custom_vjp
def _valid(x, kernel):
    """Stride-1 convolution without padding; `_valid_backward` says why it has its own gradient."""
    return _native(x, kernel, 1, ((0, 0), (0, 0)))


def _valid_forward(x, kernel):
    return _valid(x, kernel), (x, kernel)


def _valid_backward(residuals, g):
    x, kernel = residuals
    kh, kw, cin, cout = kernel.shape
    h, w = g.shape[1:3]
    full = jnp.pad(g, ((0, 0), (kh - 1, kh - 1), (kw - 1, kw - 1), (0, 0)))
    dx = _valid(full, kernel[::-1, ::-1].swapaxes(2, 3))
    flat = g.reshape(-1, cout)
    taps = [
        x[:, i : i + h, j : j + w].reshape(-1, cin).T @ flat for i in range(kh) for j in range(kw)
    ]
    return dx, jnp.stack(taps).reshape(kernel.shape)


_valid.defvjp(_valid_forward, _valid_backward)


def _spelled_out() -> bool:
    """Whether the backend that will run the program needs the gradients spelled out."""
    return jax.default_backend() == "cpu"


def conv(x, kernel, stride: int = 1, padding: Padding = ((0, 0), (0, 0))):
    """Convolution (cross-correlation) f[B, H, W, Cin] -> f[B, H', W', Cout].

    H' = (H + top + bottom - kh) // stride + 1, and the same for W'.
    """
    if not _spelled_out():
        return _native(x, kernel, stride, padding)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    kh, kw, cin, cout = kernel.shape
    if x.shape[1:3] == (kh, kw):  # one output pixel: a matrix product, fast in all its gradients
        return (x.reshape(-1, kh * kw * cin) @ kernel.reshape(-1, cout))[:, None, None]
    if stride == 1:
        return _valid(x, kernel)
    height = (x.shape[1] - kh) // stride + 1
    width = (x.shape[2] - kw) // stride + 1
    # Kernel and image grow by zeros to whole cells of stride x stride pixels. What the stride
    # never reaches at the far edge is cut off.
    mh, mw = -(-kh // stride), -(-kw // stride)
    kernel = jnp.pad(kernel, ((0, mh * stride - kh), (0, mw * stride - kw), (0, 0), (0, 0)))
    kernel = kernel.reshape(mh, stride, mw, stride, cin, cout).transpose(0, 2, 1, 3, 4, 5)
    kernel = kernel.reshape(mh, mw, stride * stride * cin, cout)
    x = _fit(x, (height - 1 + mh) * stride, (width - 1 + mw) * stride)
    return _valid(space_to_depth(x, stride), kernel)


def conv_transpose(x, kernel, stride: int = 1, padding: int = 0):
    """Transposed convolution f[B, H, W, Cin] -> f[B, H', W', Cout]; H' = (H-1) stride + kh - 2 pad.

    The adjoint of `conv` with the same stride and padding, as PyTorch's `ConvTranspose2d` defines
    it: pixel i of the input adds `kernel` to the output at i * stride - padding.
    """
    kh, kw, cin, cout = kernel.shape
    edges = tuple((k - 1 - padding, k - 1 - padding) for k in (kh, kw))
    if not _spelled_out():
        return _native(x, kernel[::-1, ::-1], 1, edges, dilation=stride)
    b, h, w, _ = x.shape
    if (h, w, padding) == (1, 1, 0):  # one input pixel: the mirror of the same case in `conv`
        y = x.reshape(b, cin) @ kernel.transpose(2, 0, 1, 3).reshape(cin, -1)
        return y.reshape(b, kh, kw, cout)
    mh, mw = -(-kh // stride), -(-kw // stride)
    # Output o = stride q + r, counted before the crop, is the sum over taps j of
    # x[q - j] kernel[stride j + r]: for each phase r a convolution with a kernel of m taps.
    kernel = jnp.pad(kernel, ((0, mh * stride - kh), (0, mw * stride - kw), (0, 0), (0, 0)))
    kernel = kernel.reshape(mh, stride, mw, stride, cin, cout)[::-1, :, ::-1]
    kernel = kernel.transpose(0, 2, 4, 1, 3, 5).reshape(mh, mw, cin, stride * stride * cout)
    x = jnp.pad(x, ((0, 0), (mh - 1, mh - 1), (mw - 1, mw - 1), (0, 0)))
    y = depth_to_space(_valid(x, kernel), stride)
    height, width = ((n - 1) * stride + k - 2 * padding for n, k in ((h, kh), (w, kw)))
    return y[:, padding : padding + height, padding : padding + width]


def space_to_depth(x, block: int):
    """f[B, H, W, C] -> f[B, H/block, W/block, block² C], channels as (row, column, C)."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // block, block, w // block, block, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h // block, w // block, block * block * c)


def depth_to_space(x, block: int):
    """The inverse of `space_to_depth`."""
    b, h, w, c = x.shape
    c //= block * block
    x = x.reshape(b, h, w, block, block, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h * block, w * block, c)


def _fit(x, height: int, width: int):
    """Cuts or zero-pads the bottom and right edges to `height` and `width`."""
    x = x[:, :height, :width]
    return jnp.pad(x, ((0, 0), (0, height - x.shape[1]), (0, width - x.shape[2]), (0, 0)))
