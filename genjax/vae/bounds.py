"""Bounds on the log-likelihood of pictures from k samples of their posteriors, and their gradients.

A sample z of q(z | x) has the weight w = p(x, z) / q(z | x), whose mean is p(x). With k of them,

    ELBO = E[1/k sum log w]        (Kingma and Welling 2014, arXiv:1312.6114)
    IWAE = E[log (1/k sum w)]      (Burda et al. 2016, arXiv:1509.00519, equation 8)

are both at most log p(x); the second rises to it with k, and is the first for k = 1. What training
maximises may differ from a bound, by a weight of the KL divergence or by further terms.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.config import choose
from genjax.devices import pmean
from genjax.errors import UserError
from genjax.vae.total_correlation import DISCRIMINATOR, ESTIMATORS, total_correlation


class Terms(NamedTuple):
    """What a bound is made of, for a batch of B examples with k samples of each, in nats.

    Attributes:
      log_likelihood: log p(x | z), f32[B, k].
      log_ratio: log p(z) - log q(z | x), f32[B, k].
      kl: KL(q(z | x) || p(z)) of each latent in closed form, f32[B, L]; its sum is the mean of
        -log_ratio over all z. None where it has none, as with a flow or another prior.
      z: the samples, f32[B, k, L].
      mean, log_variance: of q(z | x), f32[B, L]; of a flow, before it.
    """

    log_likelihood: jax.Array
    log_ratio: jax.Array
    kl: jax.Array | None
    z: jax.Array
    mean: jax.Array
    log_variance: jax.Array

    @property
    def divergence(self):
        """f32[B]: KL(q(z | x) || p(z)), in closed form or else the mean of the k samples."""
        return -self.log_ratio.mean(-1) if self.kl is None else self.kl.sum(-1)


def importance_weighted(log_weights, axis: int = -1):
    """log of the mean of weights, from their logs f32[..., k, ...], without that axis.

    As a difference from the largest, because e to the power of -100 is 0 in float32.
    """
    return jax.nn.logsumexp(log_weights, axis=axis) - math.log(log_weights.shape[axis])


BOUNDS = ("elbo", "iwae")
GRADIENTS = ("plain", "stl", "dreg")


class Bound(NamedTuple):
    """What a config maximises: the keys of `config.bound` (`genjax.vae_keys`)."""

    name: str
    k: int
    gradient: str
    beta: float
    warmup: int
    capacity: float
    free_bits: float
    total_correlation: float
    estimator: str

    @property
    def is_elbo(self) -> bool:
        """Whether it is the mean of the samples' own bounds, and nothing else."""
        others = self.warmup or self.capacity or self.free_bits or self.total_correlation
        return self.name == "elbo" and self.beta == 1 and not others

    def __call__(self, terms: Terms, step, images: int, axis_name=None):
        """f32[]: what a training step maximises, the mean over its examples.

        Args:
          step: i32[], from 0 on.
          images: how many there are to train on.
          axis_name: the mapped axis, where the examples are this device's.
        """
        risen = jnp.minimum((step + 1) / self.warmup, 1) if self.warmup else 1.0
        if self.name == "iwae":
            weights = terms.log_likelihood + risen * terms.log_ratio
            return importance_weighted(weights).mean()
        reached = terms.log_likelihood.mean() - self._divergence(terms, risen, axis_name)
        if self.total_correlation and self.estimator != DISCRIMINATOR:
            posterior = terms.z[:, 0], terms.mean, terms.log_variance
            correlation = total_correlation(*posterior, images, self.estimator, axis_name)
            reached -= self.total_correlation * correlation.mean()
        return reached

    def _divergence(self, terms: Terms, risen, axis_name):
        """f32[]: the weighted KL divergence, in the mean over examples."""
        if self.gradient == "stl" or terms.kl is None:
            return -self.beta * risen * terms.log_ratio.mean()
        kl = terms.kl.mean(0)
        if self.free_bits:  # Kingma et al. 2016, arXiv:1606.04934, equation 15
            kl = jnp.maximum(pmean(kl, axis_name), self.free_bits)
        if self.capacity:  # Burgess et al. 2018, arXiv:1804.03599, equation 8
            return self.beta * jnp.abs(pmean(kl.sum(), axis_name) - risen * self.capacity)
        return self.beta * risen * kl.sum()


def read(options) -> Bound:
    """The bound of `config.bound`.

    Raises:
      UserError: a name is unknown, or options do not go together.
    """
    choose("bound.name", options.name, dict.fromkeys(BOUNDS))
    choose("bound.gradient", options.gradient, dict.fromkeys(GRADIENTS))
    choose("bound.estimator", options.estimator, dict.fromkeys((*ESTIMATORS, DISCRIMINATOR)))
    bound = Bound(**options)
    if bound.name == "elbo" and bound.gradient == "dreg":
        raise UserError("bound.gradient=dreg is of bound.name=iwae: the ELBO's is stl")
    of_elbo = {
        "beta": bound.beta != 1,
        "capacity": bound.capacity,
        "free_bits": bound.free_bits,
        "total_correlation": bound.total_correlation,
    }
    for key in (key for key, used in of_elbo.items() if used):
        if bound.name == "iwae":
            raise UserError(
                f"bound.{key}={options[key]:g} is of the ELBO: set bound.name=elbo, or leave it"
            )
        if bound.gradient == "stl" and key in ("capacity", "free_bits"):
            raise UserError(
                f"bound.{key}={options[key]:g} needs the KL divergence in closed form: set"
                " bound.gradient=plain"
            )
    if bound.total_correlation and bound.k > 1:
        raise UserError(f"bound.total_correlation is of one sample, not of bound.k={bound.k}")
    return bound


def check_latents(bound: Bound, posterior: bool, prior: bool) -> None:
    """Checks that a bound can be had of latents whose posterior, and prior, is normal or is not.

    Raises:
      UserError: it cannot.
    """
    if not posterior and bound.gradient != "plain":
        raise UserError(
            f"bound.gradient={bound.gradient} needs a density that can be had at any latent: set"
            " model.posterior=normal, or bound.gradient=plain"
        )
    for key in ("capacity", "free_bits", "total_correlation"):
        if getattr(bound, key) and not (posterior and prior):
            other = "prior" if posterior else "posterior"
            raise UserError(
                f"bound.{key}={getattr(bound, key):g} needs the KL divergence in closed form: set"
                f" model.{other}=normal, or bound.{key}=0"
            )


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
        z, tap = reweighted(z)
    if gradient != "plain":
        mean, log_variance = jax.lax.stop_gradient((mean, log_variance))
    return z, log_normal(z, mean, log_variance) + tap


def log_normal(z, mean, log_variance):
    """log N(z; mean, diag exp(log_variance)) f32[...] in nats, of arguments f32[..., L]."""
    scaled = jnp.square(z - mean) * jnp.exp(-log_variance)
    return -0.5 * (scaled + log_variance + math.log(2 * math.pi)).sum(-1)


@jax.custom_vjp
def reweighted(z):
    """(z, zeros f32[B, k]): z whose gradient is multiplied by its weight among the k of a picture.

    Doubly reparameterised gradients (Tucker et al. 2019, arXiv:1810.04152, equation 8): with
    w~ = w / sum w, the encoder's is the sum of w~^2 dlog w / dz, where the bound's own has w~. The
    zeros are to be added to log q: what comes back through them is -w~ times a number.
    """
    return z, jnp.zeros(z.shape[:-1])


def _forward(z):
    return reweighted(z), None


def _backward(_, gradients):
    of_z, of_zeros = gradients
    share = of_zeros / of_zeros.sum(-1, keepdims=True)
    return (of_z * share[..., None],)


reweighted.defvjp(_forward, _backward)
