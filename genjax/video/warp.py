"""Moving a picture's pixels by a flow."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates


def warp(image: jax.Array, flow: jax.Array, fill: Sequence[float]) -> tuple[jax.Array, jax.Array]:
    """`image` as it looks from where `flow` starts, and which of those pixels it has.

    A pixel at (x, y) is the image at (x + u, y + v), bilinear between its four neighbours there
    (Jaderberg et al. 2015, arXiv:1506.02025, equation 5). Traceable.

    Args:
      image: f32[H, W, C].
      flow: f32[H, W, 2], the (u, v) of each pixel in px, to the right and down (`video.flow`).
      fill: C numbers, the colour of pixels from outside of the image.

    Returns:
      (f32[H, W, C], bool[H, W]: False where a pixel is from outside).
    """
    height, width, _ = image.shape
    x = jnp.arange(width, dtype=jnp.float32)[None] + flow[..., 0]
    y = jnp.arange(height, dtype=jnp.float32)[:, None] + flow[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    at = partial(map_coordinates, coordinates=[y, x], order=1, mode="nearest")
    moved = jax.vmap(at, in_axes=2, out_axes=2)(image)
    return jnp.where(inside[..., None], moved, jnp.asarray(fill, image.dtype)[None, None]), inside
