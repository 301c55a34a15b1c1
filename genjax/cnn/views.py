"""Test-time augmentation: what a network says of a picture, averaged over views of it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from genjax.data.augment import BORDERS


def of(config) -> tuple[bool, int, str]:
    """(flip, shift, border) of the views that a network is judged by: those it was trained with.

    Pictures that were mirrored in training are mirrored, and those that were moved are moved by a
    pixel.
    """
    return config.data.flip, min(config.data.shift, 1), config.data.border


def mean_logits(flip: bool, shift: int, border: str, network: Callable, x):
    """The mean of `network` over views of images, f32[B, classes].

    Half of it is the unmoved picture and a quarter each the picture moved up and left by `shift`
    pixels, and down and right; half of each is mirrored. Jordan 2024 (arXiv:2404.00498, §3.5).

    Args:
      flip: whether there are mirrored views.
      shift: px; with 0, no moved ones.
      border: what comes in at the edges, a key of `genjax.data.augment.BORDERS`.
      network: f32[B, H, W, C] -> f32[B, classes].
      x: f32[B, H, W, C] in [-1, 1].
    """

    views = [(x, 1.0)]
    if shift:
        height, width = x.shape[1:3]
        fill = {} if border == "reflect" else {"constant_values": -1}  # black
        edges = ((0, 0), (shift, shift), (shift, shift), (0, 0))
        padded = jnp.pad(x, edges, mode=BORDERS[border], **fill)
        moved = [padded[:, i : i + height, i : i + width] for i in (2 * shift, 0)]
        views = [(x, 0.5), *((each, 0.25) for each in moved)]
    if flip:
        views = [(each, share / 2) for view, share in views for each in (view, view[:, :, ::-1])]
    pictures, shares = zip(*views, strict=True)
    # One after the other, in one trace of the network.
    logits = jax.lax.map(network, jnp.stack(pictures))
    return jnp.tensordot(jnp.array(shares), logits, 1)
