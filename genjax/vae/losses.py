"""The pieces of the evidence lower bound, one value per example, in nats.

Kingma and Welling 2014 (arXiv:1312.6114): ELBO = E_q(z|x)[log p(x|z)] - KL(q(z|x) || p(z)).
"""

import math

import jax
import jax.numpy as jnp


def _sum_per_example(x):
    return x.reshape(x.shape[0], -1).sum(axis=1)


def bernoulli_log_likelihood(x, logits):
    """log p(x | z) f32[B] of independent pixels x f32[B, ...] in [0, 1] with logits f32[B, ...].

    x log sigmoid(l) + (1 - x) log(1 - sigmoid(l)), from logits: probabilities would round to 0 or
    1 beyond logits of about 17 in float32 and the logarithm would be infinite.
    """
    return _sum_per_example(x * logits - jax.nn.softplus(logits))


def gaussian_log_likelihood(x, mean, log_sigma):
    """log N(x; mean, sigma^2) f32[B] of independent pixels f32[B, ...]; log_sigma is f32[].

    A density: it depends on the pixels' unit, which is 1 for white here.
    """
    scaled = (x - mean) * jnp.exp(-log_sigma)
    return _sum_per_example(-0.5 * jnp.square(scaled) - log_sigma - 0.5 * math.log(2 * math.pi))


def kl_to_standard_normal(mean, log_variance):
    """KL(N(mean, diag exp(log_variance)) || N(0, I)) f32[B]: Kingma and Welling, appendix B."""
    return _sum_per_example(0.5 * (jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance))


def elbo_terms(log_likelihood, kl):
    """{name: f32[B]} of log p(x | z) f32[B] and KL(q(z | x) || p(z)) f32[B], to be minimised."""
    return {"negative_elbo": kl - log_likelihood, "reconstruction": -log_likelihood, "kl": kl}
