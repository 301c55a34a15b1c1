"""A run from scale to scale: its schedule, and how pictures and moments come to the next size.

As in Crowson's style-transfer-pytorch: a small picture settles the large strokes and where they go,
in a fraction of the time, and a larger one starts with them.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax

from genjax.errors import UserError
from genjax.style import inputs
from genjax.style_keys import schedule


class At(NamedTuple):
    """A stage of a style run: a scale of its contents, or of one of them.

    Attributes:
      content: its number, from 0 on, where each is painted by itself; None for all together.
      scale, scales: which scale, from 0 on, and of how many.
      side: px on the longer side; 0 for the contents' own.
      until: the step of the run at which it ends.
    """

    content: int | None
    scale: int
    scales: int
    side: int
    until: int

    @property
    def is_last_scale(self) -> bool:
        """Whether the content ends with it."""
        return self.scale == self.scales - 1


def of(config, read_picture: Callable[[str], list]) -> list[At]:
    """The stages of a style config: its scales, smallest first; with `content_fit="own"` those of
    one content after the other.

    Raises:
      UserError: `scales.steps` has no number, or the run ends before its last stage.
    """
    if not config.scales.steps:
        raise UserError("scales.steps=() has to have a number: --config.scales.steps=1000,500")
    by_itself = config.content_fit == "own"
    numbers = range(inputs.count(config, read_picture)) if by_itself else [None]
    found, begins = [], 0
    for number in numbers:
        own = config.scales.smallest and not config.size
        end = inputs.own_side(config, read_picture, number or 0) if own else config.size
        scales = schedule(end, **config.scales)
        for i, scale in enumerate(scales):
            side = config.size if i == len(scales) - 1 else scale.side
            found.append(At(number, i, len(scales), side, begins + scale.until))
        begins = found[-1].until
    *_, before, last = [None, *found]
    if before and config.train.steps <= before.until:
        several = f"stage, content {len(numbers)}," if by_itself else "scale,"
        fewer = ", or one scale by --config.scales.smallest=0" * (last.scale > 0)
        raise UserError(
            f"train.steps={config.train.steps} ends before the last {several} {end} px, which"
            f" begins after step {before.until}: use --config.train.steps={last.until}, fewer"
            f" steps a scale by --config.scales.steps=…{fewer}"
        )
    return found


def contents_of(stages: Sequence[At]) -> int:
    """How many contents, or batches of contents, have stages."""
    return len({at.content for at in stages})


def bicubic(x: jax.Array, height: int, width: int) -> jax.Array:
    """f32[height, width, C] of f32[H, W, C], as PyTorch's "bicubic" without `align_corners`.

    Cubic convolution (Keys 1981) with a = -3/4, whose values may lie beyond those of `x`. The
    border is repeated, and nothing is averaged where a picture becomes smaller.
    """
    shape = (height, width, x.shape[-1])
    return jax.image.resize(x, shape, jax.image.ResizeMethod.CUBIC_PYTORCH, antialias=False)


def bilinear(x: jax.Array, height: int, width: int) -> jax.Array:
    """f32[height, width, C] of f32[H, W, C], as PyTorch's "bilinear" without `align_corners`."""
    return jax.image.resize(x, (height, width, x.shape[-1]), "linear", antialias=False)
