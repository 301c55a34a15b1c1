"""Group normalisation: Wu and He 2018, arXiv:1803.08494."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.nn.sums import materialise, materialise_gradient


class GroupNorm(nn.Module):
    """Each example's channels in groups, normalised over a group and all pixels, in float32.

    f[B, ..., C] -> the same shape. Parameters `scale` and `bias`, f32[C] each.

    Attributes:
      groups: how many; C is a multiple.
    """

    groups: int
    epsilon: float = 1e-6
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        batch, channels = x.shape[0], x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))

        def mean(x):
            """f32[B, 1, C], the mean of each channel's group."""
            # Pixels first, one axis at a time (`genjax.nn.sums`).
            groups = x.mean(1).reshape(batch, self.groups, -1)
            means = jnp.broadcast_to(groups.mean(-1, keepdims=True), groups.shape)
            return means.reshape(batch, 1, channels)

        flat = materialise(x).astype(jnp.float32).reshape(batch, -1, channels)
        centred = flat - mean(flat)
        inverse = jax.lax.rsqrt(mean(jnp.square(centred)) + self.epsilon)
        y = centred * (inverse * scale[None, None]) + bias[None, None]
        return materialise_gradient(y.reshape(x.shape).astype(self.dtype))
