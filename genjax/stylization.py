"""Stylisation: what a family offers to whoever brings pictures into the style of others."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Stylization(NamedTuple):
    """How a trained network paints pictures of any height and width.

    `state` and `constants` are those of the task. A style is a pytree of arrays, whose shapes do
    not depend on what was chosen, so that one compiled program paints all styles.

    Attributes:
      styles: how many styles the network has learned; 0 for one that takes any picture's.
      choose: `(state, constants, pictures [f32[1, h, w, 3] in [0, 1], ...], weights f32[n]) -> ` a
        style: the mixture of the learned styles, without pictures, or of those of the pictures;
        weights are at least 0 and add up to 1, one for each.
      apply: `(state, constants, style, images f32[B, H, W, 3] in [0, 1], alpha f32[]) ->
        f32[B, H, W, 3]` in [0, 1], the images in that style, any H and W; alpha goes from 0, the
        images as far as the network can give them back, to 1.
      drawn: `(state, key, index i32[]) -> ` a style that no picture has: sample `index` of all
        that there are; None for a network that knows of no distribution.
      follow: `(state, style, images, alpha, before f32[B, H, W, 3], flow f32[B, H, W, 2], trusted
        f32[B, H, W]) -> (images as of apply, before)`, of frames of clips, for a network that
        looks at what it made of the frame before: `before`, which for a first frame is whatever has
        that shape. `flow` leads back from each frame to that one (`genjax.video.flow`), and
        `trusted`, in [0, 1], says how far it can be relied on: 0 for a first frame. None for a
        network that paints each picture for itself.
    """

    styles: int
    choose: Callable[..., Any]
    apply: Callable[..., jax.Array]
    drawn: Callable[..., Any] | None = None
    follow: Callable[..., tuple[jax.Array, jax.Array]] | None = None
