"""How alike two pictures are, pixel by pixel: PSNR and SSIM."""

import jax
import jax.numpy as jnp
import numpy as np

_SIGMA, _RADIUS = 1.5, 5  # of SSIM's Gaussian window, 11 px wide
_K1, _K2 = 0.01, 0.03


def psnr(a: jax.Array, b: jax.Array) -> jax.Array:
    """f32[B]: the peak signal-to-noise ratio in dB, -10 log₁₀ of the mean squared error.

    Infinite for equal pictures.

    Args:
      a, b: f32[B, H, W, C] in [0, 1].
    """
    return -10 * jnp.log10(((a - b) ** 2).mean(axis=(1, 2, 3)))


def ssim(a: jax.Array, b: jax.Array) -> jax.Array:
    """f32[B]: the structural similarity, at most 1, the mean over channels and points.

    Wang et al. 2004, section III.B: Gaussian windows of 11 px with sigma = 1.5, weighted (biased)
    covariances, and only those windows that are inside the picture.

    Args:
      a, b: f32[B, H, W, C] in [0, 1], of at least 11 px.
    """
    products = [a, b, a * a, b * b, a * b]
    mean_a, mean_b, aa, bb, ab = jnp.split(_blurred(jnp.concatenate(products)), 5)
    var_a, var_b, covariance = aa - mean_a**2, bb - mean_b**2, ab - mean_a * mean_b
    c1, c2 = _K1**2, _K2**2  # the range of values is 1
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (var_a + var_b + c2)
    return (luminance * structure).mean(axis=(1, 2, 3))


def _blurred(x):
    """f32[B, H - 10, W - 10, C]: the windows inside the picture, one axis after the other."""
    taps = np.arange(-_RADIUS, _RADIUS + 1)
    weights = np.exp(-(taps**2) / (2 * _SIGMA**2))
    weights = weights / weights.sum()
    for axis in (1, 2):
        size = x.shape[axis] - 2 * _RADIUS
        x = sum(
            jax.lax.slice_in_dim(x, i, i + size, axis=axis) * weight
            for i, weight in enumerate(weights.astype(np.float32))
        )
    return x
