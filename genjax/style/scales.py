"""A run from scale to scale: its schedule, and how pictures and moments come to the next size.

As in Crowson's style-transfer-pytorch: a small picture settles the large strokes and where they go,
in a fraction of the time, and a larger one starts with them.
"""

from collections.abc import Callable

import jax

from genjax.errors import UserError
from genjax.style import inputs
from genjax.style_keys import Scale, schedule


def of(config, read_picture: Callable[[str], list]) -> list[Scale]:
    """The scales of a style config, smallest first; with `size=0` the last one's side is 0, too.

    Raises:
      UserError: `scales.steps` has no number, or the run ends before its last scale.
    """
    smallest, steps = config.scales.smallest, config.scales.steps
    if not steps:
        raise UserError("scales.steps=() has to have a number: --config.scales.steps=1000,500")
    own = smallest and not config.size
    end = inputs.own_side(config, read_picture) if own else config.size
    *smaller, last = schedule(end, smallest, steps)
    if smaller and config.train.steps <= smaller[-1].until:
        raise UserError(
            f"train.steps={config.train.steps} ends before the last scale, {end} px, which begins "
            f"after step {smaller[-1].until}: use --config.train.steps={last.until}, fewer steps a "
            "scale by --config.scales.steps=…, or one scale by --config.scales.smallest=0"
        )
    return [*smaller, last._replace(side=config.size)]


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
