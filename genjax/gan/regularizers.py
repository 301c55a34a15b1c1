"""Penalties on the gradient of a discriminator with respect to its images: one value per example.

Each is `(critic, real, fake, key, axis_name) -> f32[B]`:

- critic: images f32[B, H, W, C] -> logits f32[B], in float32. Each logit has to depend on its own
  image alone, because the gradient of their sum is taken for the gradients of each; batch
  statistics would mix them.
- real, fake: f32[B, H, W, C], this device's share of the batch where `axis_name` names a mapped
  axis.
- key: of this update.
"""

import jax
import jax.numpy as jnp

from genjax import rng

_LEAST = 1e-24  # a squared norm below which the norm, whose slope has no bound at 0, counts as flat


def gradient_penalty(critic, real, fake, key, axis_name=None):
    """(|grad D(x)| - 1)^2 between real and generated images: WGAN-GP's.

    Gulrajani et al. 2017, arXiv:1704.00028, eq. 3 and Algorithm 1: x is drawn uniformly from the
    line between a real and a generated image, one place a pair; the norm is over all pixels.
    """
    alpha = rng.uniform(key, len(real), (1, 1, 1), axis_name)
    squares = _squared_slopes(critic, alpha * real + (1 - alpha) * fake)
    return jnp.square(jnp.sqrt(jnp.maximum(squares, _LEAST)) - 1)


def r1(critic, real, fake, key, axis_name=None):
    """|grad D(x)|^2 / 2 at real images: Mescheder et al. 2018, arXiv:1801.04406, eq. 9."""
    del fake, key, axis_name  # what other penalties need
    return 0.5 * _squared_slopes(critic, real)


def _squared_slopes(critic, x):
    """f32[B]: |grad D|^2 at each image of x."""
    return jnp.square(jax.grad(lambda x: critic(x).sum())(x)).sum((1, 2, 3))


REGULARIZERS = {"gradient_penalty": gradient_penalty, "r1": r1}
