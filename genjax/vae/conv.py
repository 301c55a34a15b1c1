"""A convolutional VAE: Ghosh et al. 2020 (arXiv:1903.12436), after Tolstikhin et al. 2018
(arXiv:1711.01558). With `width=128`, layers have the sizes of Ghosh's for CIFAR-10, except that the
last convolution is 3 x 3 instead of 4 x 4."""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from genjax.errors import UserError
from genjax.nn import BatchNorm, Conv, ConvTranspose

LEVELS = 4  # of the encoder; each halves the picture


class Encoder(nn.Module):
    """f32[B, H, W, C] -> mean and log-variance of q(z | x), f32[B, latent] each.

    Four 4 x 4 convolutions of stride 2 with BatchNorm and ReLU, of `width` features and then twice
    as many each time; then Dense. Layers before a BatchNorm have no bias, as it would subtract it.
    """

    width: int
    latent: int
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, train: bool):
        for level in range(LEVELS):
            features = self.width << level
            x = Conv(features, 4, stride=2, padding=1, use_bias=False, dtype=self.dtype)(x)
            x = nn.relu(BatchNorm(axis_name=self.axis_name, dtype=self.dtype)(x, train))
        moments = nn.Dense(2 * self.latent, dtype=self.dtype)(x.reshape(x.shape[0], -1))
        return tuple(jnp.split(moments.astype(jnp.float32), 2, axis=-1))


class Decoder(nn.Module):
    """f32[B, latent] -> f32[B, H, W, C], the logits or means of p(x | z).

    Dense to f32[B, H/4, W/4, 8 * width]; two 4 x 4 transposed convolutions of stride 2, each with
    half as many features; a 3 x 3 convolution to the pixels. BatchNorm and ReLU between all.
    """

    width: int
    shape: tuple[int, int, int]
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z, train: bool):
        norm = partial(BatchNorm, axis_name=self.axis_name, dtype=self.dtype)
        up = partial(
            ConvTranspose, kernel_size=4, stride=2, padding=1, use_bias=False, dtype=self.dtype
        )
        height, width, channels = self.shape
        h, w, features = height // 4, width // 4, 8 * self.width
        x = nn.Dense(h * w * features, use_bias=False, dtype=self.dtype)(z)
        x = x.reshape(-1, h, w, features)
        x = nn.relu(norm()(x, train))
        for factor in (4, 2):
            x = nn.relu(norm()(up(factor * self.width)(x), train))
        return Conv(channels, 3, padding=1, dtype=self.dtype)(x).astype(jnp.float32)


def networks(model, shape: tuple[int, int, int], classes=0, mean_picture=None, **common):
    """(Encoder, Decoder) for images of `shape` (H, W, C).

    Args:
      model: of the config; `width` and `latent` are read.
      classes, mean_picture: unused; they see no labels, and begin with biases of 0.
      common: `axis_name` and `dtype`, of both.

    Raises:
      UserError: the sides are not multiples of 16 px.
    """
    height, width, _ = shape
    if height % (1 << LEVELS) or width % (1 << LEVELS):
        raise UserError(
            f"the convolutional VAE needs sides that are multiples of {1 << LEVELS} px, not "
            f"{width}x{height}: set data.size, to 32 for example"
        )
    return Encoder(model.width, model.latent, **common), Decoder(model.width, shape, **common)
