"""The loss that keeps the frames of a stylised clip alike: Ruder, Dosovitskiy and Brox 2016,
arXiv:1604.08610, equations 7 and 8."""

import jax
import jax.numpy as jnp

# The authors' pixels go from 0 to 255 and those here from 0 to 1, and the loss is a square: their
# weights are multiplied by this.
LEVELS = 255.0**2


def temporal_loss(pictures: jax.Array, warped: jax.Array, weights: jax.Array) -> jax.Array:
    """f32[B]: how far frames are from what earlier stylised frames say that they look like.

    The sum over those J frames of the mean, over pixels and colours, of c (x - ω)²; not weighted.

    Args:
      pictures: f32[B, H, W, 3] in [0, 1].
      warped: f32[B, J, H, W, 3], the earlier stylised frames, each warped to this one's place.
      weights: f32[B, J, H, W] in [0, 1], how far each pixel of them can be relied on.
    """
    squares = weights[..., None] * jnp.square(pictures[:, None] - warped)
    return squares.mean(axis=(2, 3, 4)).sum(axis=1)
