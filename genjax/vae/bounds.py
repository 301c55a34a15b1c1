"""Bounds on the log-likelihood of pictures from k samples of their posteriors, and their gradients.

A sample z of q(z | x) has the weight w = p(x, z) / q(z | x), whose mean is p(x). With k of them,

    ELBO = E[1/k sum log w]        (Kingma and Welling 2014, arXiv:1312.6114)
    IWAE = E[log (1/k sum w)]      (Burda et al. 2016, arXiv:1509.00519, equation 8)

are both at most log p(x); the second rises to it with k, and is the first for k = 1.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.config import choose
from genjax.errors import UserError


class Terms(NamedTuple):
    """What a bound is made of, in nats, f32[B, k] each, but `kl` f32[B].

    Attributes:
      log_likelihood: log p(x | z).
      log_ratio: log p(z) - log q(z | x).
      kl: KL(q(z | x) || p(z)) in closed form, the mean of -log_ratio over all z.
    """

    log_likelihood: jax.Array
    log_ratio: jax.Array
    kl: jax.Array


def importance_weighted(log_weights, axis: int = -1):
    """log of the mean of weights, from their logs f32[..., k, ...], without that axis.

    As a difference from the largest, because e to the power of -100 is 0 in float32.
    """
    return jax.nn.logsumexp(log_weights, axis=axis) - math.log(log_weights.shape[axis])


def _elbo(terms: Terms, factor, sampled: bool):
    kl = -terms.log_ratio.mean(-1) if sampled else terms.kl
    return terms.log_likelihood.mean(-1) - factor * kl


def _iwae(terms: Terms, factor, sampled: bool):
    return importance_weighted(terms.log_likelihood + factor * terms.log_ratio)


BOUNDS = {"elbo": _elbo, "iwae": _iwae}
GRADIENTS = ("plain", "stl", "dreg")


class Bound(NamedTuple):
    """The bound of a config.

    Attributes:
      name, k, gradient, beta, warmup: keys of `config.bound` (`genjax.vae_keys`).
    """

    name: str
    k: int
    gradient: str
    beta: float
    warmup: int

    def __call__(self, terms: Terms, step):
        """f32[B]: what a training step (i32[], from 0 on) maximises, of terms with k samples."""
        factor = self.beta
        if self.warmup:
            factor *= jnp.minimum((step + 1) / self.warmup, 1)
        return BOUNDS[self.name](terms, factor, sampled=self.gradient != "plain")

    @property
    def is_elbo(self) -> bool:
        """Whether it is the mean of the samples' own bounds, and nothing else is maximised."""
        return self.name == "elbo" and self.beta == 1 and not self.warmup


def read(options) -> Bound:
    """The bound of `config.bound`.

    Raises:
      UserError: a name is unknown, or an importance-weighted bound has another factor than 1.
    """
    choose("bound.name", options.name, BOUNDS)
    choose("bound.gradient", options.gradient, dict.fromkeys(GRADIENTS))
    if options.name == "iwae" and options.beta != 1:
        raise UserError(
            f"bound.beta={options.beta:g} is of the ELBO: set bound.beta=1, or bound.name=elbo"
        )
    if options.name == "elbo" and options.gradient == "dreg":
        raise UserError("bound.gradient=dreg is of bound.name=iwae: the ELBO's is stl")
    return Bound(**options)


def sampled(mean, log_variance, noise, gradient: str):
    """(z, log q(z | x)): samples of normal posteriors, and their densities.

    With the gradients "stl" (Roeder et al. 2017, arXiv:1703.09194) and "dreg", the density's
    parameters count as constants: what they add to the encoder's gradient is 0 in the mean, and for
    dreg is replaced by the squares of the weights.

    Args:
      mean, log_variance: f32[B, L].
      noise: f32[B, k, L], standard normal.

    Returns:
      z f32[B, k, L] and log q f32[B, k], in nats.
    """
    mean, log_variance = mean[:, None], log_variance[:, None]
    z = mean + jnp.exp(0.5 * log_variance) * noise
    tap = 0.0
    if gradient == "dreg":
        z, tap = _reweighted(z)
    if gradient != "plain":
        mean, log_variance = jax.lax.stop_gradient((mean, log_variance))
    return z, log_normal(z, mean, log_variance) + tap


def log_normal(z, mean, log_variance):
    """log N(z; mean, diag exp(log_variance)) f32[...] in nats, of arguments f32[..., L]."""
    scaled = jnp.square(z - mean) * jnp.exp(-log_variance)
    return -0.5 * (scaled + log_variance + math.log(2 * math.pi)).sum(-1)


@jax.custom_vjp
def _reweighted(z):
    """(z, zeros f32[B, k]): z whose gradient is multiplied by its weight among the k of a picture.

    Doubly reparameterised gradients (Tucker et al. 2019, arXiv:1810.04152, equation 8): with
    w~ = w / sum w, the encoder's is the sum of w~^2 dlog w / dz, where the bound's own has w~. The
    zeros are to be added to log q: what comes back through them is -w~ times a number.
    """
    return z, jnp.zeros(z.shape[:-1])


def _forward(z):
    return _reweighted(z), None


def _backward(_, gradients):
    of_z, of_zeros = gradients
    share = of_zeros / of_zeros.sum(-1, keepdims=True)
    return (of_z * share[..., None],)


_reweighted.defvjp(_forward, _backward)
