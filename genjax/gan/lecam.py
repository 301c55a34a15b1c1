"""LeCam regularisation: Tseng et al. 2021 (arXiv:2104.03310), eq. 6, as in google/lecam-gan.

Answers to real images are kept from rising beyond the average of those to generated ones, and
reversely. The averages are remembered from update to update.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.devices import pmean


class LeCam(NamedTuple):
    """weight: of the penalty; decay: of the averages; start: the step that it begins at."""

    weight: float
    decay: float
    start: int


def initial() -> dict[str, jax.Array]:
    """What is remembered before the first update; by default, which starts later, not looked at."""
    return {"lecam_real": jnp.zeros(()), "lecam_fake": jnp.zeros(())}


def penalty(options: LeCam, memory, real, fake, step, axis_name: str | None = None):
    """(f32[B], memory): weight (relu(D(x) - a_F)^2 + relu(a_R - D(G(z)))^2), with a_R and a_F the
    averages, which take in these answers first.

    Before the start the averages are these answers' own means and the penalty is 0.

    Args:
      memory: holds `lecam_real` and `lecam_fake`, f32[] each.
      real, fake: logits f32[B] of this device's shard.
      step: i32[].
    """
    begun = step >= options.start
    averages = {}
    for name, logits in (("lecam_real", real), ("lecam_fake", fake)):
        mean = pmean(jax.lax.stop_gradient(logits).mean(), axis_name)
        moved = options.decay * memory[name] + (1 - options.decay) * mean
        averages[name] = jnp.where(begun, moved, mean)
    above = jnp.square(jax.nn.relu(real - averages["lecam_fake"]))
    below = jnp.square(jax.nn.relu(averages["lecam_real"] - fake))
    return options.weight * jnp.where(begun, above + below, 0), memory | averages
