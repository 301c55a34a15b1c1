"""How strongly ADA augments: Karras et al. 2020 (arXiv:2006.06676), §3.1.

A discriminator that overfits answers every real image of training with a positive number. So the
mean sign of its answers is steered to a target, by the probability of augmentations.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.devices import pmean


class Target(NamedTuple):
    """What p is steered to, and how fast.

    Attributes:
      sign: the mean sign of answers to real images; 0.6 in the paper, its r_t.
      interval: steps from one adjustment to the next; updates: of the discriminator in a step.
      move: what an adjustment changes p by: the images of these steps by those of `augment.images`.
    """

    sign: float
    interval: int
    updates: int
    move: float


def initial(p: float) -> dict[str, jax.Array]:
    """What is remembered: p, and the sum of the updates' mean signs since its last adjustment."""
    return {"augment_p": jnp.float32(p), "augment_signs": jnp.zeros(())}


def observed(memory, real, axis_name: str | None = None):
    """The memory after an update with answers f32[B] to real images."""
    sign = pmean(jnp.sign(jax.lax.stop_gradient(real)).mean(), axis_name)
    return memory | {"augment_signs": memory["augment_signs"] + sign}


def adjusted(target: Target, memory, step):
    """The memory after step `step` i32[], counted from 0: every `interval` steps p moves by
    `move`, up if the mean sign is above the target, and never below 0."""
    due = (step + 1) % target.interval == 0
    mean = memory["augment_signs"] / (target.interval * target.updates)
    p = memory["augment_p"] + target.move * jnp.sign(mean - target.sign)
    return memory | {
        "augment_p": jnp.where(due, jnp.maximum(p, 0), memory["augment_p"]),
        "augment_signs": jnp.where(due, 0, memory["augment_signs"]),
    }
