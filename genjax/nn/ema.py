"""Exponential moving averages of parameters, counted in images.

Karras et al. 2024 (arXiv:2312.02696, edm2): the half-life is a number of images, so that it means
the same at every batch size, and it grows with the images seen, so that the average forgets the
first, random parameters. The code of StyleGAN2-ADA (arXiv:2006.06676) counts in the same way, but
copies buffers such as BatchNorm's statistics; here everything that is given is averaged.
"""

import jax
import jax.numpy as jnp


def update(average, value, step, batch_size: int, half_life: float, ramp: float = 0.05):
    """average + (1 - decay) (value - average), with decay = 2^(-batch / half-life).

    Args:
      step: i32[], how many rounds of `batch_size` images came before this one.
      half_life: in images; capped at `ramp` times the images seen, those before this round. Where
        that is 0, as in the first round and always with `half_life` or `ramp` 0, nothing is
        averaged: the result is `value`.
    """
    effective = jnp.minimum(half_life, ramp * batch_size * step.astype(jnp.float32))
    decay = jnp.exp2(-batch_size / jnp.maximum(effective, 1e-8))
    return jax.tree.map(lambda a, v: v + decay * (a - v), average, value)
