"""What images pass before the discriminator sees them, as `augment` of a config says."""

from collections.abc import Callable
from functools import partial

import jax

from genjax import rng
from genjax.config import choose, nearest
from genjax.errors import UserError
from genjax.gan import ada, diffaugment

# (images f32[B, H, W, C] in [-1, 1], key, p f32[], axis_name) -> images; differentiable
Augment = Callable[..., jax.Array]

_DEFAULTS = {"diffaugment": "color,translation,cutout", "ada": "blit,geometry,color"}
_PARTS = {"diffaugment": diffaugment.PARTS, "ada": ada.GROUPS}


def read(options) -> Augment | None:
    """The augmentation that `config.augment` names; None for none.

    Raises:
      UserError: it has no such name, or the policy a part that it does not have.
    """
    name = options.name
    choose("augment.name", name, {"none": None} | _PARTS)
    if name != "ada" and options.p:
        raise UserError(
            f"augment.p={options.p} is the probability of ADA's parts: set augment.name=ada"
        )
    if name == "none":
        if options.policy:
            raise UserError(
                f"augment.policy={options.policy!r} of nothing: set augment.name=diffaugment or ada"
            )
        return None
    parts = _parts(name, options.policy or _DEFAULTS[name])
    return partial(_diffaugment, tuple(parts)) if name == "diffaugment" else partial(_ada, parts)


def _parts(name: str, policy: str) -> dict[str, float]:
    """{part: the factor of its probability}, in the order of the policy."""
    known, parts = _PARTS[name], {}
    for each in policy.split(","):
        part, colon, factor = (x.strip() for x in each.partition(":"))
        if part not in known:
            names = ", ".join(known)
            raise UserError(
                f"augment.policy: {part!r} is no part of {name!r}{nearest(part, known)}"
                f" (known: {names})"
            )
        if colon and name == "diffaugment":
            raise UserError(f"augment.policy: {each.strip()!r}: DiffAugment always happens: {part}")
        try:
            parts[part] = float(factor) if colon else 1.0
        except ValueError:
            parts[part] = -1.0
        if not 0 <= parts[part] <= 1:
            raise UserError(f"augment.policy: {each.strip()!r}: the factor is from 0 to 1")
    return parts


def _diffaugment(parts: tuple[str, ...], images, key, p, axis_name=None):
    del p  # it always happens
    numbers = rng.uniform(key, len(images), (diffaugment.NUMBERS,), axis_name)
    for part in parts:
        images = diffaugment.PARTS[part](images, numbers)
    return images


def _ada(parts: dict[str, float], images, key, p, axis_name=None):
    numbers = ada.draw(key, len(images), images.shape[1:], "noise" in parts, axis_name)
    return ada.apply(images, numbers, p, parts)
