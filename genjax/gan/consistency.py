"""Consistency regularisation: a discriminator's answer should not change with what keeps the image.

CR of real images: Zhang et al. 2020 (arXiv:1910.12027). bCR, of generated ones too, zCR, of
latents, and ICR, both: Zhao et al. 2021 (arXiv:2002.04724). The numbers are those of the authors
and of POSTECH-CVLab/PyTorch-StudioGAN.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax import rng
from genjax.gan.diffaugment import taken, whole

# {consistency.name: its parts}
METHODS = {
    "none": (),
    "cr": ("real",),
    "bcr": ("real", "fake"),
    "zcr": ("z",),
    "icr": ("real", "fake", "z"),
}


class Consistency(NamedTuple):
    """Weights of the parts, 0 for those that are off, and the deviation of noise on latents."""

    real: float
    fake: float
    z_discriminator: float
    z_generator: float
    z_noise: float

    @property
    def of_latents(self) -> bool:
        return self.z_discriminator > 0 or self.z_generator > 0


def moved(images, key, axis_name: str | None = None):
    """Images f32[B, H, W, C], half of them mirrored, all shifted by whole pixels.

    By up to an eighth of the side each way; the image, reflected, comes in at its edges.
    """
    u = rng.uniform(key, len(images), (3,), axis_name)
    images = jnp.where(u[:, :1, None, None] < 0.5, images[:, :, ::-1], images)
    for axis in (1, 2):
        size = images.shape[axis]
        source = jnp.abs(jnp.arange(size)[None] + whole(u[:, axis], size // 8)[:, None])
        images = taken(images, axis, jnp.minimum(source, 2 * (size - 1) - source))
    return images


def of_discriminator(options: Consistency, judge: Callable, pairs, near, key, axis_name=None):
    """f32[B]: the weighted squares of what the answers change by.

    Args:
      judge: images f32[B, H, W, C] -> logits f32[B].
      pairs: of real and of generated images: ((images, their logits), (images, their logits)).
      near: generated images of latents with noise; None without zCR.
      key: of the shifts.
    """
    total = 0.0
    weights = (options.real, options.fake)
    for i, (weight, (images, logits)) in enumerate(zip(weights, pairs, strict=True)):
        if weight:
            other = judge(moved(images, jax.random.fold_in(key, i), axis_name))
            total += weight * jnp.square(logits - other)
    if near is not None:
        total += options.z_discriminator * jnp.square(pairs[1][1] - judge(near))
    return total


def of_generator(options: Consistency, fake, near):
    """f32[B], at most 0: images of near latents should differ, -weight mean (G(z) - G(z'))^2."""
    return -options.z_generator * jnp.square(fake - near).mean((1, 2, 3))
