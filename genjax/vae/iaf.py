"""Inverse autoregressive flow: steps that bend normal samples, with densities that stay known.

Kingma et al. 2016 (arXiv:1606.04934), algorithm 1 in the form of equations 13 and 14: each step
makes z of the last one's by m and s, where those of latent j depend on the latents before j alone,

    z = sigmoid(s) z + (1 - sigmoid(s)) m,    log |dz' / dz| = sum log sigmoid(s).
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

_BEGUN = 2.0  # s of new steps: "sufficiently positive", so that they change little


def masks(latent: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(f32[latent, width], f32[width, latent]) of 0 and 1, for the kernels of two dense layers.

    MADE (Germain et al. 2015, arXiv:1502.03509): hidden unit i sees so many latents as its degree
    says, from 0 to latent - 1, and output j the units that see none but those before j. Units of
    degree 0 bring the context alone, which is all that the first latent goes by.
    """
    degrees = np.arange(width) * latent // width
    latents = np.arange(latent)
    seen = latents[:, None] < degrees[None]
    outputs = degrees[:, None] <= latents[None]
    return np.float32(seen), np.float32(outputs)


class MaskedDense(nn.Module):
    """f32[..., inputs] -> f32[..., features], without the weights where `mask` is 0.

    Attributes:
      mask: f32[inputs, features].
      bias: what the biases begin with.
    """

    mask: np.ndarray
    bias: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.lecun_normal(), self.mask.shape)
        bias = self.param("bias", nn.initializers.constant(self.bias), self.mask.shape[1:])
        y = x.astype(self.dtype) @ (kernel * self.mask).astype(self.dtype)
        return y + jnp.broadcast_to(bias.astype(self.dtype), y.shape)


class Flow(nn.Module):
    """(z f32[B, k, L], context f32[B, C]) -> (z f32[B, k, L], log |dz' / dz| f32[B, k]).

    Latents change their order from step to step, so that each comes to depend on all.

    Attributes:
      steps: how many.
      width: hidden units of each step's network, at least as many as latents for all to count.
    """

    steps: int
    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z, context):
        log_det = jnp.zeros(z.shape[:-1])
        seen, outputs = masks(z.shape[-1], self.width)
        for step in range(self.steps):
            z = z[..., ::-1] if step else z
            h = MaskedDense(seen, dtype=self.dtype)(z)
            h = nn.elu(h + nn.Dense(self.width, use_bias=False, dtype=self.dtype)(context)[:, None])
            m = MaskedDense(outputs, dtype=self.dtype)(h).astype(jnp.float32)
            s = MaskedDense(outputs, _BEGUN, dtype=self.dtype)(h).astype(jnp.float32)
            gate = nn.sigmoid(s)
            z = gate * z + (1 - gate) * m
            log_det += nn.log_sigmoid(s).sum(-1)
        return z, log_det
