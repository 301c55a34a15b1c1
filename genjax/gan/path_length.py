"""StyleGAN2's regularizer of the generator: Karras et al. 2020 (arXiv:1912.04958), §3.2.

A step of fixed length in the space of styles should change a picture by a fixed amount, whatever
the style and the direction. J is the Jacobian of pictures by styles; for random pictures y the
length of Jᵀy is compared with its running mean.
"""

import jax
import jax.numpy as jnp

from genjax import rng
from genjax.devices import pmean


def path_lengths(draw, ws, key, axis_name: str | None = None):
    """|Jᵀy| f32[B], with y of N(0, 1), divided by the root of the number of pixels.

    The mean over layers of the squared length for each layer's style, under a root.

    Args:
      draw: styles f32[B, layers, W] -> pictures f32[B, H, W, C], each of its own styles alone.
      key: of y, example by example; axis_name: as `rng.example_keys`.
    """
    pictures, back = jax.vjp(draw, ws)
    _, height, width, _ = pictures.shape
    y = rng.normal(key, len(ws), pictures.shape[1:], axis_name)
    (slopes,) = back(y / (height * width) ** 0.5)
    return jnp.sqrt(jnp.square(slopes).sum(2).mean(1))


def penalty(lengths, mean, decay: float, axis_name: str | None = None):
    """((lengths - mean)² f32[B], the new mean f32[]).

    The mean has moved to that of this batch before it is used, and gradients flow through this
    batch's part of it, as in the authors' code; the mean that is returned is a constant.

    Args:
      lengths: of `path_lengths`; mean: the running one, 0 at the start; decay: how much of it is
        kept, 0.99 in the authors' code, where the penalty has the weight 2.
    """
    moved = mean + (1 - decay) * (pmean(lengths.mean(), axis_name) - mean)
    return jnp.square(lengths - moved), jax.lax.stop_gradient(moved)
