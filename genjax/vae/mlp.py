"""A fully connected VAE: Kingma and Welling 2014 (arXiv:1312.6114), appendix C, but with ReLU."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp


class Encoder(nn.Module):
    """f32[B, H, W, C] -> mean and log-variance of q(z | x), f32[B, latent] each.

    `hidden`: widths of the hidden layers. `axis_name` is unused: there is no BatchNorm.
    """

    hidden: Sequence[int]
    latent: int
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, train: bool):
        h = x.reshape(x.shape[0], -1)
        for width in self.hidden:
            h = nn.relu(nn.Dense(width, dtype=self.dtype)(h))
        moments = nn.Dense(2 * self.latent, dtype=self.dtype)(h).astype(jnp.float32)
        return tuple(jnp.split(moments, 2, axis=-1))


class Decoder(nn.Module):
    """f32[B, latent] -> f32[B, *shape], the logits or means of p(x | z); `hidden` last to first."""

    hidden: Sequence[int]
    shape: tuple[int, int, int]
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z, train: bool):
        h = z
        for width in reversed(self.hidden):
            h = nn.relu(nn.Dense(width, dtype=self.dtype)(h))
        height, width, channels = self.shape
        y = nn.Dense(height * width * channels, dtype=self.dtype)(h)
        return y.astype(jnp.float32).reshape(-1, *self.shape)


def networks(model, shape: tuple[int, int, int], **common):
    """(Encoder, Decoder) for images of `shape`; of `model`, `hidden` and `latent` are read."""
    hidden = tuple(model.hidden)
    return Encoder(hidden, model.latent, **common), Decoder(hidden, shape, **common)
