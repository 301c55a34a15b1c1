"""Priors p(z) of latents. Each has

    noise                              how many normal numbers `log_density` takes for each sample
    init(key) -> variables             {} where there are none
    log_density(variables, encode, z, noise, gradient) -> f32[B, k], in nats
    sample(variables, encode, key, index i32[n], level) -> f32[n, L]

of latents z f32[B, k, L] and noise f32[B, k, noise]; `gradient` is that of `config.bound`, and
`encode` is the encoder, `(pictures f32[n, H, W, C] in [0, 1]) -> (mean, log-variance) f32[n, L]`.
Sample i is a function of its place `index[i]`; its normal numbers are between -level and level
(`genjax.latents.truncated_normal`). `normal` says whether p(z) is N(0, 1).
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from genjax import rng
from genjax.config import choose
from genjax.errors import UserError
from genjax.latents import truncated_normal
from genjax.vae import mlp
from genjax.vae.bounds import importance_weighted, log_normal, reweighted

# Pseudo-inputs begin as nearly black pictures, of this mean and deviation, as in the authors' code.
_PSEUDO = 0.05, 0.01


@dataclass(frozen=True)
class Normal:
    """N(0, 1) of each latent."""

    latent: int

    normal = True
    noise = 0

    def init(self, key):
        return {}

    def log_density(self, variables, encode, z, noise, gradient: str):
        return _standard(z)

    def sample(self, variables, encode, key, index, level):
        return truncated_normal(key, index, (self.latent,), level)


@dataclass(frozen=True)
class Vamp:
    """The mean of the posteriors of K pictures that are learned, pseudo-inputs.

    Tomczak and Welling 2018 (arXiv:1705.07120), equation 9. Pixels are parameters, clipped to
    [0, 1], as their code does.
    """

    count: int
    shape: tuple[int, int, int]

    normal = False
    noise = 0

    def init(self, key):
        mean, deviation = _PSEUDO
        pictures = mean + deviation * jax.random.normal(key, (self.count, *self.shape))
        return {"pseudo_inputs": pictures}

    def _components(self, variables, encode):
        """(mean, log-variance) of each, f32[K, L]."""
        return encode(jnp.clip(variables["pseudo_inputs"], 0, 1))

    def log_density(self, variables, encode, z, noise, gradient: str):
        mean, log_variance = (x[None, None] for x in self._components(variables, encode))
        return importance_weighted(log_normal(z[:, :, None], mean, log_variance))

    def sample(self, variables, encode, key, index, level):
        """One pseudo-input each, all equally likely, and a sample of its posterior."""
        mean, log_variance = self._components(variables, encode)
        key_which, key_z = jax.random.split(key)
        draw = partial(jax.random.randint, shape=(), minval=0, maxval=self.count)
        which = jax.vmap(draw)(rng.example_keys(key_which, index))
        noise = truncated_normal(key_z, index, mean.shape[1:], level)
        return _at(noise, mean[which], log_variance[which])


@dataclass(frozen=True)
class Layer:
    """A second stochastic layer h, itself N(0, 1), of which z is normal.

    Burda et al. 2016 (arXiv:1509.00519), section 5.1. What stands for the density of z is
    p(z | h) p(h) / q(h | z) of a sample h of q(h | z), whose mean is p(z): so the weights of
    samples (z, h) are those of the whole model, and every bound of them is one of log p(x).

    Attributes:
      up, down: networks z -> q(h | z) and h -> p(z | h), mean and log-variance of each.
      latent: L; noise: the length of h.
    """

    up: mlp.Encoder
    down: mlp.Encoder
    latent: int
    noise: int

    normal = False

    def init(self, key):
        key_u, key_d = jax.random.split(key)
        up = self.up.init(key_u, jnp.zeros((1, self.latent)), train=True)
        down = self.down.init(key_d, jnp.zeros((1, self.noise)), train=True)
        return {"up": up["params"], "down": down["params"]}

    def log_density(self, variables, encode, z, noise, gradient: str):
        up, down = partial(_moments, self.up), partial(_moments, self.down)
        params, fixed = variables["up"], jax.lax.stop_gradient
        if gradient == "plain":
            mean, log_variance = up(params, z)
            h, tap = _at(noise, mean, log_variance), 0.0
        else:
            # As of `bounds.sampled`: the density's parameters are constants, and the gradient of a
            # sample's is reweighted. That which goes on to z is reweighted there, not twice.
            h, tap = _at(noise, *up(params, fixed(z))), 0.0
            if gradient == "dreg":
                h, tap = reweighted(h)
            mean, log_variance = up(fixed(params), z)
            through_z = _at(noise, mean, log_variance)
            h += through_z - fixed(through_z)
        log_q = log_normal(h, mean, log_variance) + tap
        return log_normal(z, *down(variables["down"], h)) + _standard(h) - log_q

    def sample(self, variables, encode, key, index, level):
        noise = truncated_normal(key, index, (self.noise + self.latent,), level)
        h, noise = noise[:, : self.noise], noise[:, self.noise :]
        return _at(noise, *self.down.apply({"params": variables["down"]}, h, train=False))


def _moments(network, params, x):
    """(mean, log-variance) f32[B, k, features] of x f32[B, k, inputs]."""
    found = network.apply({"params": params}, x.reshape(-1, x.shape[-1]), train=True)
    return tuple(each.reshape(*x.shape[:2], -1) for each in found)


def _at(noise, mean, log_variance):
    return mean + jnp.exp(0.5 * log_variance) * noise


def _standard(h):
    return log_normal(h, 0.0, jnp.float32(0))


def build(model, shape: tuple[int, int, int], dtype=jnp.float32) -> Normal | Vamp | Layer:
    """The prior of the config's `model` for pictures of `shape`; N(0, 1) where it names none.

    Raises:
      UserError: it is unknown, or the posterior or the encoder is not one that a VampPrior can be
        of.
    """
    name = model.get("prior", "normal")
    choose("model.prior", name, dict.fromkeys(("normal", "vamp", "layer")))
    if name == "normal":
        return Normal(model.latent)
    if name == "vamp":
        for key, needed in {"posterior": "normal", "condition": "none"}.items():
            if model[key] != needed:
                raise UserError(
                    f"model.prior='vamp' is a mixture of normal posteriors of pictures alone: set"
                    f" model.{key}={needed}"
                )
        return Vamp(model.pseudo_inputs, shape)
    make = partial(mlp.Encoder, tuple(model.upper.hidden), dtype=dtype, **mlp.options(model))
    up, down = make(latent=model.upper.latent), make(latent=model.latent)
    return Layer(up, down, model.latent, model.upper.latent)
