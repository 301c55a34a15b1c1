"""Spectral normalisation: Miyato et al. 2018, arXiv:1802.05957.

A kernel divided by its largest singular value, which the power method follows: the vectors of one
update are where the next one starts, because the kernel has hardly moved since.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.devices import gather_params

COLLECTION = "spectral"

_EPSILON = 1e-12  # of the authors' code


class SpectralNorm(nn.Module):
    """Kernel f32[..., features] -> kernel / sigma, f32[..., features].

    sigma = u·Wv is what the stored vectors make of the norm of W, the kernel as a matrix of
    `features` rows, as in the authors' code. Gradients go through W alone; u and v are constants.

    The vectors, f32[features] and f32[rest], are variables of the collection `spectral`: part of
    the state, and functions of the parameters alone, so that they are the same on all devices. They
    take one step of the power method (Algorithm 1, step 1) each time the module is applied with
    that collection mutable, and stay where they are otherwise. Who applies a network several times
    with the same parameters makes it mutable once, and has one and the same function every time.
    """

    @nn.compact
    def __call__(self, kernel):
        matrix = kernel.reshape(-1, kernel.shape[-1]).T
        u = self.variable(COLLECTION, "u", self._first, matrix)
        v = self.variable(COLLECTION, "v", lambda: _unit(_dot(u.value, matrix)))
        if self.is_mutable_collection(COLLECTION) and not self.is_initializing():
            fixed = jax.lax.stop_gradient(matrix)
            v.value = _unit(_dot(gather_params(u.value), fixed))
            u.value = _unit(_dot(fixed, v.value))
        # Used by every device, where `fsdp` keeps a part of them on each.
        sigma = _dot(_dot(gather_params(u.value), matrix), gather_params(v.value))
        return kernel / sigma

    def _first(self, matrix):
        return _unit(jax.random.normal(self.make_rng("params"), matrix.shape[:1]))


def _dot(a, b):
    """A product in full float32, which accelerators round to less unless told."""
    return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)


def _unit(x):
    return x / (jnp.linalg.norm(x) + _EPSILON)
