"""What a network for clips sees beside a frame: its own picture of the frame before.

Ruder, Dosovitskiy and Brox 2018, arXiv:1708.04538: that picture is moved as the clip moves, and a
mask says where it can be relied on. What cannot is filled with the mean colour that VGG knows.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.cnn.vgg import IMAGENET_MEAN
from genjax.video.warp import warp

CHANNELS = 7  # a frame, the picture before, the mask

_FILTER = 7  # px a side; the mask is the least of these, as in the authors' program


class Previous(NamedTuple):
    """Pictures of the frames before, in the place of their frames.

    Attributes:
      picture: f32[B, H, W, 3], in [0, 1].
      mask: f32[B, H, W, 1] in [0, 1], how far each pixel can be relied on.
    """

    picture: jax.Array
    mask: jax.Array


def moved(picture: jax.Array, flow: jax.Array, trusted: jax.Array) -> Previous:
    """Pictures f32[B, H, W, 3] of the frames before, as these are warped by flows.

    Args:
      flow: f32[B, H, W, 2], from each frame back to the one before (`genjax.video.flow`).
      trusted: f32[B, H, W] in [0, 1], how far it can be relied on, where it stays inside.
    """
    warped, inside = jax.vmap(lambda x, y: warp(x, y, IMAGENET_MEAN))(picture, flow)
    mask = (trusted * inside)[..., None]
    least = jax.lax.reduce_window(
        mask, jnp.inf, jax.lax.min, (1, _FILTER, _FILTER, 1), (1, 1, 1, 1), "SAME"
    )
    return Previous(warped, least)


def beside(frames: jax.Array, previous: Previous | None = None) -> jax.Array:
    """f32[B, H, W, 7] in [0, 1], of frames f32[B, H, W, 3]; None for frames with none before."""
    mean = jnp.broadcast_to(jnp.float32(IMAGENET_MEAN)[None, None, None], frames.shape)
    if previous is None:
        return jnp.concatenate([frames, mean, jnp.zeros_like(frames[..., :1])], axis=-1)
    filled = mean + previous.mask * (previous.picture - mean)
    return jnp.concatenate([frames, filled, previous.mask], axis=-1)
