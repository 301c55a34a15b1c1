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
from genjax.devices import pmean

# Lower bound of squared norms. The derivative of sqrt is infinite at 0, and gradients would be NaN.
_LEAST = 1e-24


def gradient_penalty(critic, real, fake, key, axis_name=None):
    """(|grad D(x)| - 1)^2 between real and generated images: WGAN-GP's.

    Gulrajani et al. 2017, arXiv:1704.00028, eq. 3 and Algorithm 1: for each pair of a real and a
    generated image, one x drawn uniformly from the line between them. The norm is over all pixels.
    """
    alpha = rng.uniform(key, len(real), (1, 1, 1), axis_name)
    return _from_one(_squared_slopes(critic, alpha * real + (1 - alpha) * fake))


def r1(critic, real, fake, key, axis_name=None):
    """|grad D(x)|^2 / 2 at real images: Mescheder et al. 2018, arXiv:1801.04406, eq. 9."""
    del fake, key, axis_name  # parameters because other penalties need them
    return 0.5 * _squared_slopes(critic, real)


def r2(critic, real, fake, key, axis_name=None):
    """|grad D(x)|^2 / 2 at generated images: Mescheder et al. 2018, eq. 10."""
    del real, key, axis_name
    return 0.5 * _squared_slopes(critic, fake)


def r1_r2(critic, real, fake, key, axis_name=None):
    """R1 + R2, with the same factor: R3GAN's (Huang et al. 2024, arXiv:2501.05441, §2)."""
    del key, axis_name
    return 0.5 * (_squared_slopes(critic, real) + _squared_slopes(critic, fake))


def dragan(critic, real, fake, key, axis_name=None):
    """(|grad D(x)| - 1)^2 around real images: Kodali et al. 2017, arXiv:1705.07215.

    As in POSTECH-CVLab/PyTorch-StudioGAN: x + a s u / 2 with one a for each image and one u for
    each of its pixels, both uniform in [0, 1), and s the deviation of all pixels of the batch.
    """
    del fake
    key_a, key_u = jax.random.split(key)
    a = rng.uniform(key_a, len(real), (1, 1, 1), axis_name)
    u = rng.uniform(key_u, len(real), real.shape[1:], axis_name)
    count = real.size * (1 if axis_name is None else jax.lax.psum(1, axis_name))
    mean = pmean(real.mean(), axis_name)
    variance = pmean(jnp.square(real - mean).mean(), axis_name) * (count / (count - 1))
    return _from_one(_squared_slopes(critic, real + 0.5 * a * jnp.sqrt(variance) * u))


def _from_one(squares):
    """(norm - 1)^2 of squared norms."""
    return jnp.square(jnp.sqrt(jnp.maximum(squares, _LEAST)) - 1)


def _squared_slopes(critic, x):
    """|grad D|^2 at each image of `x`, f32[B]."""
    return jnp.square(jax.grad(lambda x: critic(x).sum())(x)).sum((1, 2, 3))


REGULARIZERS = {
    "gradient_penalty": gradient_penalty,
    "dragan": dragan,
    "r1": r1,
    "r2": r2,
    "r1_r2": r1_r2,
}
