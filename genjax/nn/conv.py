"""The convolution that all layers use; its value and gradients are fast on every backend.

On GPU and TPU it is XLA's native operation with its own gradients. On the CPU, XLA compiles many of
these gradients to naive loops, so there the convolution is built from the three operations of
`genjax.nn.correlation`. A strided convolution is space-to-depth followed by a convolution of stride
1; a transposed one is the adjoint of a convolution of stride 1, followed by depth-to-space (Shi et
al. 2016, arXiv:1609.05158, §3). Both ways give the same values up to rounding.

A large kernel with few channels on one side would be a product of a thin matrix with a large one.
It is spelled with fewer taps and more channels (`_of_few`, `_to_few`).

All images are f[B, H, W, C]; all kernels f[kh, kw, Cin, Cout]; padding is in pixels.
"""

import jax
import jax.numpy as jnp

from genjax.nn.backend import gradients, spelled_out
from genjax.nn.correlation import NO_PADDING, Padding, correlate, correlate_adjoint
from genjax.nn.sums import materialise
from genjax.nn.upsample import nearest

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")

# From how many taps on, and up to how many channels, kernels are rearranged; and how many columns
# are one block, which was the fastest of 2, 4 and 8 with 9 x 9 taps.
_LARGE, _FEW, _COLUMNS = 7, 4, 4


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
    if not spelled_out() or (stride > 1 and not gradients()):
        return _native(x, kernel, stride, padding)
    kh, kw, cin, cout = kernel.shape
    size = tuple(n + sum(edges) for n, edges in zip(x.shape[1:3], padding, strict=True))
    if stride == 1 and size != (kh, kw):
        if min(kh, kw) >= _LARGE and min(cin, cout) <= _FEW:
            x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
            return (_of_few if cin <= cout else _to_few)(x, kernel)
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


def conv_of_nearest(x, kernel):
    """The 3 x 3 convolution of images enlarged twice, f[B, H, W, Cin] -> f[B, 2H, 2W, Cout].

    Each pixel is repeated four times (`upsample.nearest`), and the large image is padded by
    reflection, so that it keeps its size.

    Several of a window's taps meet the same small pixel. The replacement adds them up beforehand:
    a pixel adds to 4 x 4 outputs, which is a transposed convolution, of 4 multiplications an output
    in the place of 9. The reflection at a large image's edge is the small one's outermost pixel.
    """
    edge = ((0, 0), (1, 1), (1, 1), (0, 0))
    if not spelled_out():
        return _native(jnp.pad(nearest(x), edge, mode="reflect"), kernel, 1, NO_PADDING)
    taps = jnp.pad(kernel[::-1, ::-1], ((1, 1), (1, 1), (0, 0), (0, 0)))
    taps = taps[1:] + taps[:-1]
    taps = taps[:, 1:] + taps[:, :-1]
    return conv_transpose(jnp.pad(x, edge, mode="edge"), taps, 2, 3)


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


def _of_few(x, kernel):
    """The convolution without padding of images of few channels: blocks of columns as channels.

    That rearranges no number in memory. Of 9 taps and blocks of 4 columns, it is a third more
    multiplications, of matrices that are 4 times as large.
    """
    (b, h, w, cin), (kh, kw, _, cout), n = x.shape, kernel.shape, _COLUMNS
    width, taps = w - kw + 1, -(-(kw + n - 1) // n)
    columns = (-(-width // n) + taps - 1) * n
    x = jnp.pad(x, ((0, 0), (0, 0), (0, columns - w), (0, 0)))
    shifted = [jnp.pad(kernel, ((0, 0), (i, taps * n - kw - i), (0, 0), (0, 0))) for i in range(n)]
    deep = jnp.stack(shifted, axis=3).reshape(kh, taps, n * cin, n * cout)
    y = correlate(x.reshape(b, h, columns // n, n * cin), deep)
    return y.reshape(b, h - kh + 1, -1, cout)[:, :, :width]


def _to_few(x, kernel):
    """The convolution without padding to images of few channels: first along the rows of a kernel
    alone, to as many channels as its columns give; these are then added up."""
    kh, kw, cin, cout = kernel.shape
    width = x.shape[2] - kw + 1
    y = correlate(x, kernel.transpose(0, 2, 1, 3).reshape(kh, 1, cin, kw * cout))
    y = materialise(y)
    return sum(y[:, :, i : i + width, i * cout : (i + 1) * cout] for i in range(kw))


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
