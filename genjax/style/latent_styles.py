"""A VAE of styles: what AdaIN takes of a picture, as numbers, and the networks that code them.

After Liu, Kalogeiton and Cani 2021 (arXiv:2110.07375), who code the compressed covariances of a
learned linear transform; here a style is the mean and the deviation of each feature, as AdaIN has
it. The numbers of a style are the means and the logarithms of the deviations, standardised, and
the likelihood is a normal distribution of them with a deviation of 1.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp

from genjax.nn import Dense


def numbers(style):
    """f32[B, 2 C] of a style {"mean": f32[B, C], "deviation": f32[B, C]}, deviations above 0."""
    return jnp.concatenate([style["mean"], jnp.log(style["deviation"])], axis=1)


def of_numbers(x):
    """The style, as of `numbers`, that f32[B, 2 C] stand for."""
    mean, log_deviation = jnp.split(x, 2, axis=1)
    return {"mean": mean, "deviation": jnp.exp(log_deviation)}


class _Layers(nn.Module):
    """f32[B, N] -> f32[B, widths[-1]], with SiLU, which has no kink, between the layers."""

    widths: Sequence[int]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        for width in self.widths[:-1]:
            x = nn.silu(Dense(width, dtype=self.dtype)(x))
        return Dense(self.widths[-1], dtype=self.dtype)(x).astype(jnp.float32)


class StyleVae(nn.Module):
    """Standardised numbers of styles to themselves; its parts are `encode` and `decode`.

    Attributes:
      hidden: widths of the encoder's hidden layers; the decoder has them the other way round.
      latent: how many latents.
      numbers: of a style.
    """

    hidden: Sequence[int]
    latent: int
    numbers: int
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        self.encoder = _Layers((*self.hidden, 2 * self.latent), self.dtype)
        self.decoder = _Layers((*reversed(self.hidden), self.numbers), self.dtype)

    def __call__(self, x):
        return self.decode(self.encode(x)[0])

    def encode(self, x):
        """Mean and log-variance of q(z | x), f32[B, latent] each, of f32[B, numbers]."""
        return tuple(jnp.split(self.encoder(x), 2, axis=1))

    def decode(self, z):
        """f32[B, numbers], the mean of p(x | z)."""
        return self.decoder(z)
