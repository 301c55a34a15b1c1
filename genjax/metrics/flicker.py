"""Flicker: how much a clip changes where its motion does not say so."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax import images
from genjax.video.warp import warp


class Flicker(NamedTuple):
    """How much a clip flickers; 0 for one that changes by its motion alone.

    Attributes:
      mean_square: of pixels in [0, 1], over all of them and all pairs of frames.
      root: its root, in [0, 1].
    """

    mean_square: float
    root: float


def flicker(frames: np.ndarray, flows: np.ndarray, weights: np.ndarray) -> Flicker:
    """The mean of c (x_i - ω(x_(i-1)))² over the pixels of a clip, and its root.

    ω warps a frame by the flow to the next one. Flow and weights c are those of the original clip,
    so that all stylisations of it are measured alike. Smooth pictures flicker less than rich ones
    and a grey clip not at all, and warping by fractions of a pixel blurs: only stylisations that
    are alike compare, and beside them belongs the original's own flicker.

    Args:
      frames: u8[T, H, W, 3], T at least 2.
      flows, weights: f32[T - 1, H, W, 2] and f32[T - 1, H, W], of each frame but the first
        (`video.reliability.motion`).
    """
    squares = _each(jnp.asarray(frames), flows, weights)
    mean_square = float(np.mean(squares, dtype=float))
    return Flicker(mean_square, mean_square**0.5)


@jax.jit
def _each(frames, flows, weights) -> jax.Array:
    floats = images.to_float(frames, low=0)
    pairs = floats[:-1], floats[1:], flows, weights
    return jax.lax.map(lambda pair: unexplained(*pair), pairs)


def unexplained(before: jax.Array, now: jax.Array, flow: jax.Array, weights: jax.Array):
    """f32[]: the mean of c (x - ω(y))² over the pixels x of a frame and y of that before it.

    Args:
      before, now: f32[H, W, 3] in [0, 1].
      flow, weights: f[H, W, 2] and f[H, W], of `now`.
    """
    # What is from outside has the weight 0, but for what smoothing gave it: left out, too.
    warped, inside = warp(before, flow.astype(jnp.float32), (0.0, 0.0, 0.0))
    counted = weights.astype(jnp.float32) * inside
    return jnp.mean(counted[..., None] * jnp.square(now - warped))
