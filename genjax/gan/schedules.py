"""Values that change while a run goes on, as functions of the images that it has seen.

R3GAN's (brownvc/R3GAN, training/training_loop.py): half a cosine over so many images, then the
final value: value(n) = base + (1 - (1 + cos(pi n / decay)) / 2) (final - base).
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp

from genjax.config import choose, nearest
from genjax.errors import UserError

# What may change, and between which values.
_RANGES = {
    "optimizer.learning_rate": (0, float("inf")),
    "optimizer.b2": (0, 0.9999999),
    "regularizer.weight": (0, float("inf")),
    "augment.p": (0, 1),
    "ema.half_life": (0, float("inf")),
}


def half_cosine(n, base: float, final: float, decay: float):
    """The value after `n` images (a number or an array): from `base` to `final` over `decay`."""
    passed = jnp.minimum(n / decay, 1)
    return base + (0.5 - 0.5 * jnp.cos(jnp.pi * passed)) * (final - base)


def linear(n, base: float, final: float, decay: float):
    """As `half_cosine`, along a straight line."""
    return base + jnp.minimum(n / decay, 1) * (final - base)


_SHAPES = {"constant": None, "linear": linear, "cosine": half_cosine}


def read(config) -> dict[str, Callable]:
    """{key: images seen -> its value} of the keys that `config.schedule` changes.

    Raises:
      UserError: the schedule has no such shape, names what is no key that can change, gives it no
        possible value, or changes a rate that `optimizer.linear_decay` changes too.
    """
    options = config.schedule
    shape = choose("schedule.name", options.name, _SHAPES)
    pairs, decay = [x for x in options.final.split(",") if x.strip()], float(options.images)
    found = {}
    if pairs and not shape:
        raise UserError("schedule.final needs schedule.name=cosine or linear: nothing changes else")
    if shape and not pairs:
        raise UserError(
            f"schedule.name={options.name!r} changes nothing: set schedule.final, such as"
            " optimizer.learning_rate=5e-5"
        )
    for pair in pairs:
        key, _, text = (part.strip() for part in pair.partition("="))
        if key not in _RANGES:
            known = ", ".join(_RANGES)
            raise UserError(
                f"schedule.final cannot change {key!r}{nearest(key, _RANGES)} (it can: {known})"
            )
        low, high = _RANGES[key]
        try:
            final = float(text)
        except ValueError:
            raise UserError(f"schedule.final: {key}={text!r} is not a number") from None
        if not low <= final <= high or final == float("inf"):
            raise UserError(f"schedule.final: {key}={text} is not possible")
        group, _, name = key.partition(".")
        found[key] = partial(shape, base=config[group][name], final=final, decay=decay)
    if "optimizer.learning_rate" in found and config.optimizer.linear_decay:
        raise UserError(
            "both optimizer.linear_decay and schedule.final change the learning rate: set"
            " --config.optimizer.linear_decay=0"
        )
    return found
