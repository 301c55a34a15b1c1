"""Resampling of images by two with the filter [1, 3, 3, 1], as StyleGAN2 and R3GAN do it.

Karras et al. 2020 (arXiv:1912.04958), §B; Zhang 2019 (arXiv:1904.11486) says why a filter has to
stand before pixels are left out. In two dimensions the filter is the outer product of
[1, 3, 3, 1] / 8 with itself.

All three operations are sums of a few shifted images, first along columns and then along rows:
depthwise convolutions, which have no fast gradients on XLA's CPU backend, appear nowhere. Each is
linear, and its gradient is again one of the three, to any order: upsampling and downsampling are
transposes of each other, up to a factor, and the filter's transpose is the filter with the rest of
the padding.
"""

from functools import partial

import jax
import jax.numpy as jnp

TAPS = (1 / 8, 3 / 8, 3 / 8, 1 / 8)


@jax.custom_vjp
def upsample(x):
    """f[B, H, W, C] -> f[B, 2H, 2W, C]: zeros between pixels, padding (2, 1), filter, times 4.

    The value of a constant image is kept, but for the outermost pixels, next to which there are
    zeros.
    """
    return _up(_up(x, 1), 2)


@jax.custom_vjp
def downsample(x):
    """f[B, H, W, C] -> f[B, H / 2, W / 2, C]: padding (1, 1), filter, every second pixel."""
    return _down(_down(x, 1), 2)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def smooth(x, padding: tuple[int, int]):
    """f[B, H, W, C] -> f[B, H + before + after - 3, …, C]: zero padding and the filter, of sum 1.

    Args:
      padding: (before, after), of rows and of columns, in pixels.
    """
    return _filter(_filter(x, 1, padding), 2, padding)


def _up(x, axis: int):
    """Twice as many rows or columns: 2i holds (x[i-1] + 3 x[i]) / 4, 2i + 1 (3 x[i] + x[i+1]) / 4.

    These are the outputs of the filter over x with zeros between its pixels: half of the taps meet
    a zero.
    """
    n = x.shape[axis]
    wide = _padded(x, axis, 1, 1)
    before, after = _part(wide, axis, 0, n), _part(wide, axis, 2, n)
    outer, inner = 2 * TAPS[0], 2 * TAPS[1]
    both = jnp.stack([outer * before + inner * x, inner * x + outer * after], axis + 1)
    return both.reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])


def _down(x, axis: int):
    """Half as many rows or columns: (x[2i-1] + 3 x[2i] + 3 x[2i+1] + x[2i+2]) / 8."""
    wide = _padded(x, axis, 1, 1)
    n = x.shape[axis] // 2
    return sum(tap * _part(wide, axis, i, n, 2) for i, tap in enumerate(TAPS))


def _filter(x, axis: int, padding: tuple[int, int]):
    wide = _padded(x, axis, *padding)
    n = wide.shape[axis] - len(TAPS) + 1
    return sum(tap * _part(wide, axis, i, n) for i, tap in enumerate(TAPS))


def _padded(x, axis: int, before: int, after: int):
    return jnp.pad(x, [(before, after) if i == axis else (0, 0) for i in range(x.ndim)])


def _part(x, axis: int, start: int, n: int, stride: int = 1):
    """`n` rows or columns of x, from `start` on."""
    return jax.lax.slice_in_dim(x, start, start + (n - 1) * stride + 1, stride, axis)


upsample.defvjp(lambda x: (upsample(x), None), lambda _, g: (4 * downsample(g),))
downsample.defvjp(lambda x: (downsample(x), None), lambda _, g: (upsample(g) / 4,))
smooth.defvjp(
    lambda x, padding: (smooth(x, padding), None),
    lambda padding, _, g: (smooth(g, tuple(len(TAPS) - 1 - p for p in padding)),),
)
