"""Spectral normalisation: Miyato et al. 2018, arXiv:1802.05957.

A kernel is divided by an estimate of its largest singular value. One step of the power method per
update is enough for that: it starts from the vectors of the update before, and the kernel has
hardly changed since.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.devices import gather_params

COLLECTION = "spectral"


class SpectralNorm(nn.Module):
    """Kernel f32[..., features] -> kernel / sigma, f32[..., features].

    sigma = u·Wv estimates the spectral norm of W, the kernel as a matrix of `features` rows, from
    the stored vectors u and v, as in the authors' code. Gradients flow through W alone; u and v
    count as constants.

    The vectors u f32[features] and v f32[rest] are variables of the collection `spectral` and part
    of the state. They depend on the parameters alone and not on the batch, so they are the same on
    all devices. Each application of the module with that collection mutable makes one step of the
    power method (Algorithm 1, step 1); other applications leave u and v unchanged. To apply a
    network several times in one update as the same function, make the collection mutable in the
    first application only.

    Attributes:
      epsilon: added to the length of a vector before it is divided by it; the authors' is 1e-12.
    """

    epsilon: float = 1e-12

    @nn.compact
    def __call__(self, kernel):
        matrix = kernel.reshape(-1, kernel.shape[-1]).T
        u = self.variable(COLLECTION, "u", self._first, matrix)
        v = self.variable(COLLECTION, "v", lambda: self._unit(_dot(u.value, matrix)))
        if self.is_mutable_collection(COLLECTION) and not self.is_initializing():
            fixed = jax.lax.stop_gradient(matrix)
            v.value = self._unit(_dot(gather_params(u.value), fixed))
            u.value = self._unit(_dot(fixed, v.value))
        # `fsdp` shards u and v; every device needs all of them here.
        sigma = _dot(_dot(gather_params(u.value), matrix), gather_params(v.value))
        return kernel / sigma

    def _first(self, matrix):
        return self._unit(jax.random.normal(self.make_rng("params"), matrix.shape[:1]))

    def _unit(self, x):
        return x / (jnp.linalg.norm(x) + self.epsilon)


def _dot(a, b):
    """A product in full float32; by default accelerators compute it with less precision."""
    return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)
