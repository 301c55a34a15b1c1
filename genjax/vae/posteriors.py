"""Posteriors q(z | x): how samples of latents, and their densities, follow from the encoder.

Each has

    init(key) -> variables             {} where there are none but the encoder's
    sample(variables, said, noise, gradient) -> (z f32[B, k, L], log q(z | x) f32[B, k])
    centre(variables, said) -> f32[B, L]      the latent that stands for a picture

of `said`, what the encoder says of B pictures, and standard normal noise f32[B, k, L]; `gradient`
is that of `config.bound`. `normal` says whether q(z | x) is a normal distribution of that mean and
log-variance.
"""

from dataclasses import dataclass

import jax.numpy as jnp

from genjax.config import choose
from genjax.vae import bounds, iaf


@dataclass(frozen=True)
class Normal:
    """N(mean, diag exp(log-variance)), of (mean, log-variance) f32[B, L] each."""

    normal = True

    def init(self, key):
        return {}

    def sample(self, variables, said, noise, gradient: str):
        return bounds.sampled(*said, noise, gradient)

    def centre(self, variables, said):
        return said[0]


@dataclass(frozen=True)
class Flowing:
    """A normal sample that goes through a flow (`genjax.vae.iaf`), of (mean, log-variance, context
    f32[B, C]). Its centre is where the mean comes out.

    Its density is known of its own samples only.
    """

    flow: iaf.Flow
    latent: int
    context: int

    normal = False

    def init(self, key):
        return self.flow.init(key, jnp.zeros((1, 1, self.latent)), jnp.zeros((1, self.context)))

    def sample(self, variables, said, noise, gradient: str):
        mean, log_variance, context = said
        z, log_q = bounds.sampled(mean, log_variance, noise, gradient)
        z, log_det = self.flow.apply(variables, z, context)
        return z, log_q - log_det

    def centre(self, variables, said):
        mean, _, context = said
        return self.flow.apply(variables, mean[:, None], context)[0][:, 0]


def build(model, dtype=jnp.float32) -> Normal | Flowing:
    """The posterior of the config's `model`, the normal one where it names none.

    Raises:
      UserError: it is unknown.
    """
    name = model.get("posterior", "normal")
    if choose("model.posterior", name, {"normal": False, "iaf": True}):
        flow = iaf.Flow(model.flows.steps, model.flows.width, dtype)
        return Flowing(flow, model.latent, model.flows.width)
    return Normal()
