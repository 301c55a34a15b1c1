"""AdaIN: a decoder for features that have any style's means and deviations.

Huang and Belongie 2017 (arXiv:1703.06868), equations 8 and 11 to 13, in the versions of two public
programs, which differ in what they call a deviation and in what they divide errors by.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp

from genjax.config import choose
from genjax.style import encoder as encoders
from genjax.style import painting
from genjax.style.losses import mean_squared_error
from genjax.style.transforms import Transform, adaptive, moments, whitening
from genjax.task import Inputs, Task


class Variant(NamedTuple):
    """How one program computes.

    Attributes:
      transform: of the content's features.
      moments: `(features f[B, h, w, C]) -> ` (mean, deviation) f32[B, C], by which pictures and
        styles are compared.
      error: `(a f32[B, C], b) -> f32[B]`, of either.
    """

    transform: Transform
    moments: Callable
    error: Callable

    def style_error(self, found, style, taps):
        """f32[B]: the errors of both moments, of features {tap: f[B, h, w, C]}, added over taps."""
        return sum(
            self.error(a, b)
            for tap in taps
            for a, b in zip(self.moments(found[tap]), self.moments(style[tap]), strict=True)
        )


def sum_of_squares(a, b):
    """f32[B]: the sum of (a - b)^2 of f32[B, n] each."""
    return jnp.square(a - b).sum(axis=1)


# "pytorch" is naoto0804's pytorch-AdaIN, "lua" the authors' AdaIN-style.
VARIANTS = {
    "pytorch": Variant(
        adaptive(unbiased=True, epsilon=1e-5, of_style=1e-5),
        partial(moments, unbiased=True, epsilon=1e-5),
        mean_squared_error,
    ),
    "lua": Variant(
        adaptive(unbiased=False, epsilon=1e-5, of_style=0.0),
        partial(moments, epsilon=1e-6),
        sum_of_squares,
    ),
}


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "style_adain".

    Raises:
      UserError: there is no such variant or encoder; or as `painting.build`.
    """
    variant = choose("variant", config.variant, VARIANTS)
    encoder = encoders.load(config)

    def losses(found, content, style, target):
        return {
            "content": config.content_loss.weight * mean_squared_error(found[encoder.code], target),
            "style": config.style_loss.weight * variant.style_error(found, style, encoder.taps),
        }

    transforms = {"adain": variant.transform, "wct": whitening()}
    return painting.build(config, inputs, encoder, painting.Method(transforms, "decoder", losses))
