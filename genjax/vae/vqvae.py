"""The networks of VQ-VAE (van den Oord et al. 2017, arXiv:1711.00937), as in Sonnet's example."""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from genjax.errors import UserError
from genjax.nn import Conv, ConvTranspose


class Residual(nn.Module):
    """Blocks x + [ReLU, 3 x 3, ReLU, 1 x 1](x), and a ReLU at the end."""

    blocks: int
    inner: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x):
        for _ in range(self.blocks):
            y = Conv(self.inner, 3, padding=1, dtype=self.dtype)(nn.relu(x))
            x = x + Conv(x.shape[-1], 1, dtype=self.dtype)(nn.relu(y))
        return nn.relu(x)


class Encoder(nn.Module):
    """f32[B, H, W, C] in [-1/2, 1/2] -> f32[B, H/4, W/4, features], before quantization.

    Attributes:
      width: features of the inner layers; the first has half as many.
      blocks, inner: of the residual blocks.
      features: of a code.
    """

    width: int
    blocks: int
    inner: int
    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, train: bool):
        down = partial(Conv, kernel_size=4, stride=2, padding=1, dtype=self.dtype)
        x = nn.relu(down(self.width // 2)(x))
        x = nn.relu(down(self.width)(x))
        x = nn.relu(Conv(self.width, 3, padding=1, dtype=self.dtype)(x))
        x = Residual(self.blocks, self.inner, self.dtype)(x)
        return Conv(self.features, 1, dtype=self.dtype)(x).astype(jnp.float32)


class Decoder(nn.Module):
    """f32[B, H/4, W/4, features] -> f32[B, H, W, C], the encoder's mirror."""

    width: int
    blocks: int
    inner: int
    channels: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z, train: bool):
        up = partial(ConvTranspose, kernel_size=4, stride=2, padding=1, dtype=self.dtype)
        x = Conv(self.width, 3, padding=1, dtype=self.dtype)(z)
        x = Residual(self.blocks, self.inner, self.dtype)(x)
        x = nn.relu(up(self.width // 2)(x))
        return up(self.channels)(x).astype(jnp.float32)


def networks(model, shape: tuple[int, int, int], features: int, dtype=jnp.float32):
    """(Encoder, Decoder) for images of `shape` (H, W, C) and codes of so many features.

    Args:
      model: of the config; `width`, `blocks` and `inner` are read.

    Raises:
      UserError: the sides are not multiples of 4 px.
    """
    height, width, channels = shape
    if height % 4 or width % 4:
        raise UserError(
            f"model.name=vqvae halves pictures twice, which {width}x{height} px does not allow: set"
            " data.size to a multiple of 4"
        )
    sizes = model.width, model.blocks, model.inner
    return Encoder(*sizes, features, dtype), Decoder(*sizes, channels, dtype)
