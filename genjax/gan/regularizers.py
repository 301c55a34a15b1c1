"""Penalties on the gradient of a discriminator with respect to its images: one value per example.

Each is `(critic, real, fake, key, axis_name) -> f32[B]`, without the factor `regularizer.weight`:

- critic: images f32[B, H, W, C] -> logits f32[B], in float32. Each logit must depend on its own
  image alone (no BatchNorm): the gradients of all images are computed at once, as the gradient of
  the sum of the logits.
- real, fake: f32[B, H, W, C], this device's shard of the batch if `axis_name` names a mapped axis.
- key: the random key of this update.
"""

import jax
import jax.numpy as jnp

from genjax import rng

# Lower bound of squared norms. The derivative of sqrt is infinite at 0, and gradients would be NaN.
_LEAST = 1e-24


def gradient_penalty(critic, real, fake, key, axis_name=None):
    """(|grad D(x)| - 1)^2 between real and generated images: WGAN-GP's.

    Gulrajani et al. 2017, arXiv:1704.00028, eq. 3 and Algorithm 1: for each pair of a real and a
    generated image, one x drawn uniformly from the line between them. The norm is over all pixels.
    """
    alpha = rng.uniform(key, len(real), (1, 1, 1), axis_name)
    squares = _squared_slopes(critic, alpha * real + (1 - alpha) * fake)
    return jnp.square(jnp.sqrt(jnp.maximum(squares, _LEAST)) - 1)


def r1(critic, real, fake, key, axis_name=None):
    """|grad D(x)|^2 / 2 at real images: Mescheder et al. 2018, arXiv:1801.04406, eq. 9."""
    del fake, key, axis_name  # parameters because other penalties need them
    return 0.5 * _squared_slopes(critic, real)


def _squared_slopes(critic, x):
    """|grad D|^2 at each image of `x`, f32[B]."""
    return jnp.square(jax.grad(lambda x: critic(x).sum())(x)).sum((1, 2, 3))


REGULARIZERS = {"gradient_penalty": gradient_penalty, "r1": r1}
