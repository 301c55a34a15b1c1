"""The terms of the evidence lower bound (ELBO), one value per example, in nats.

Kingma and Welling 2014 (arXiv:1312.6114): ELBO = E_q(z|x)[log p(x|z)] - KL(q(z|x) || p(z)).
"""

import math

import jax
import jax.numpy as jnp


def _sum_per_example(x):
    return x.reshape(x.shape[0], -1).sum(axis=1)


def bernoulli_log_likelihood(x, logits):
    """log p(x | z) f32[B] of independent pixels x f32[B, ...] in [0, 1] with logits f32[B, ...].

    x log sigmoid(l) + (1 - x) log(1 - sigmoid(l)); for grey x, the mean over binary pixels drawn
    with probability x. From logits, because in float32 sigmoid(l) is 1 from l = 17 on, and
    log(1 - sigmoid(l)) would be infinite.
    """
    return _sum_per_example(x * logits - jax.nn.softplus(logits))


def gaussian_log_likelihood(x, mean, log_sigma):
    """log N(x; mean, sigma^2) f32[B] of independent pixels f32[B, ...]; log_sigma is f32[].

    A density, so values depend on the scale of the pixels: here [0, 1].
    """
    scaled = (x - mean) * jnp.exp(-log_sigma)
    return _sum_per_example(-0.5 * jnp.square(scaled) - log_sigma - 0.5 * math.log(2 * math.pi))


def kl_to_standard_normal(mean, log_variance):
    """KL(N(mean, exp(log_variance)) || N(0, 1)) of each latent, f32[B, L] as the arguments are.

    Their sum is that of all latents. Kingma and Welling 2014, appendix B.
    """
    return 0.5 * (jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance)


def elbo_terms(log_likelihood, kl):
    """{name: f32[B]} from log p(x | z) and KL(q(z | x) || p(z)), f32[B]; signed to be minimised."""
    return {"negative_elbo": kl - log_likelihood, "reconstruction": -log_likelihood, "kl": kl}
