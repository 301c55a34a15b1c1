"""The convolution that all layers use; its value and gradients are fast on every backend.

On GPU and TPU it is XLA's native operation with its own gradients. On the CPU, XLA compiles many of
these gradients to naive loops, so there the convolution is built from the three operations of
`genjax.nn.correlation`. A strided convolution is space-to-depth followed by a convolution of stride
1; a transposed one is the adjoint of a convolution of stride 1, followed by depth-to-space (Shi et
al. 2016, arXiv:1609.05158, §3). Both ways give the same values up to rounding.

All images are f[B, H, W, C]; all kernels f[kh, kw, Cin, Cout]; padding is in pixels.
"""

import jax
import jax.numpy as jnp

from genjax.nn.backend import spelled_out
from genjax.nn.correlation import NO_PADDING, Padding, correlate, correlate_adjoint

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


def conv(x, kernel, stride: int = 1, padding: Padding = NO_PADDING):
    """Convolution (cross-correlation) f[B, H, W, Cin] -> f[B, H', W', Cout].

    H' = (H + top + bottom - kh) // stride + 1, and the same for W'.
    """
    if not spelled_out():
        return _native(x, kernel, stride, padding)
    kh, kw, cin, cout = kernel.shape
    size = tuple(n + sum(edges) for n, edges in zip(x.shape[1:3], padding, strict=True))
    if stride == 1 and size != (kh, kw):
        return correlate(x, kernel, padding)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    if size == (kh, kw):  # one output pixel: a matrix product, fast in all its gradients
        return (x.reshape(-1, kh * kw * cin) @ kernel.reshape(-1, cout))[:, None, None]
    deep = _space_to_depth_kernel(kernel, stride)
    height = (x.shape[1] - kh) // stride + deep.shape[0]
    width = (x.shape[2] - kw) // stride + deep.shape[1]
    # At the bottom and right, cuts off pixels beyond the last window, or pads to whole blocks.
    x = _fit(x, height * stride, width * stride)
    return correlate(space_to_depth(x, stride), deep)


def conv_transpose(x, kernel, stride: int = 1, padding: int = 0):
    """Transposed convolution f[B, H, W, Cin] -> f[B, H', W', Cout]; H' = (H-1) stride + kh - 2 pad.

    The adjoint of `conv` with the same stride and padding, as PyTorch's `ConvTranspose2d` defines
    it: pixel i of the input adds `kernel` to the output at i * stride - padding.
    """
    kh, kw, cin, cout = kernel.shape
    edges = tuple((k - 1 - padding, k - 1 - padding) for k in (kh, kw))
    if not spelled_out():
        return _native(x, kernel[::-1, ::-1], 1, edges, dilation=stride)
    b, h, w, _ = x.shape
    if (h, w, padding) == (1, 1, 0):  # one input pixel: a matrix product, as in `conv`
        y = x.reshape(b, cin) @ kernel.transpose(2, 0, 1, 3).reshape(cin, -1)
        return y.reshape(b, kh, kw, cout)
    # With its last two axes swapped, `kernel` is that of the convolution whose adjoint this is.
    y = correlate_adjoint(x, _space_to_depth_kernel(kernel.swapaxes(2, 3), stride))
    height, width = ((n - 1) * stride + k - 2 * padding for n, k in ((h, kh), (w, kw)))
    y = depth_to_space(y, stride)
    return y[:, padding : padding + height, padding : padding + width]


def _space_to_depth_kernel(kernel, stride: int):
    """Rearranges a strided convolution's kernel to have stride 1 on a space-to-depth image.

    f[kh, kw, Cin, Cout] -> f[ceil(kh / stride), ceil(kw / stride), stride² Cin, Cout], after
    padding with zeros to multiples of the stride.
    """
    kh, kw, cin, cout = kernel.shape
    mh, mw = -(-kh // stride), -(-kw // stride)
    kernel = jnp.pad(kernel, ((0, mh * stride - kh), (0, mw * stride - kw), (0, 0), (0, 0)))
    kernel = kernel.reshape(mh, stride, mw, stride, cin, cout).transpose(0, 2, 1, 3, 4, 5)
    return kernel.reshape(mh, mw, stride * stride * cin, cout)


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
