"""The one convolution primitive, fast in value and gradients on every backend.

On GPU and TPU it is the native operation with its own gradients. On the CPU, where XLA turns many
of these gradients into naive loops, it is built from the three operations of
`genjax.nn.correlation`: a strided convolution is space-to-depth followed by one of stride 1, and a
transposed one the adjoint of that, followed by depth-to-space (Shi et al. 2016, arXiv:1609.05158,
§3). The values agree to rounding.

All images are f[B, H, W, C]; all kernels f[kh, kw, Cin, Cout]; padding is in pixels.
"""

import jax
import jax.numpy as jnp

from genjax.nn.backend import spelled_out
from genjax.nn.correlation import correlate, correlate_adjoint

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


def conv(x, kernel, stride: int = 1, padding: Padding = ((0, 0), (0, 0))):
    """Convolution (cross-correlation) f[B, H, W, Cin] -> f[B, H', W', Cout].

    H' = (H + top + bottom - kh) // stride + 1, and the same for W'.
    """
    if not spelled_out():
        return _native(x, kernel, stride, padding)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    kh, kw, cin, cout = kernel.shape
    if x.shape[1:3] == (kh, kw):  # one output pixel: a matrix product, fast in all its gradients
        return (x.reshape(-1, kh * kw * cin) @ kernel.reshape(-1, cout))[:, None, None]
    if stride == 1:
        return correlate(x, kernel)
    cells = _cells(kernel, stride)
    height = (x.shape[1] - kh) // stride + cells.shape[0]
    width = (x.shape[2] - kw) // stride + cells.shape[1]
    # What the stride never reaches at the far edge is cut off.
    x = _fit(x, height * stride, width * stride)
    return correlate(space_to_depth(x, stride), cells)


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
    if (h, w, padding) == (1, 1, 0):  # one input pixel: the mirror of the same case in `conv`
        y = x.reshape(b, cin) @ kernel.transpose(2, 0, 1, 3).reshape(cin, -1)
        return y.reshape(b, kh, kw, cout)
    # The kernel, with input and output changed over, is that of the convolution of which this is
    # the adjoint.
    y = correlate_adjoint(x, _cells(kernel.swapaxes(2, 3), stride))
    height, width = ((n - 1) * stride + k - 2 * padding for n, k in ((h, kh), (w, kw)))
    y = depth_to_space(y, stride)
    return y[:, padding : padding + height, padding : padding + width]


def _cells(kernel, stride: int):
    """The kernel of a strided convolution for an image in cells of stride x stride pixels.

    f[kh, kw, Cin, Cout] -> f[ceil(kh / stride), ceil(kw / stride), stride² Cin, Cout]; it grows by
    zeros to whole cells.
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
