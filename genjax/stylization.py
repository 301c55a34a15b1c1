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
    """

    styles: int
    choose: Callable[..., Any]
    apply: Callable[..., jax.Array]
    drawn: Callable[..., Any] | None = None
