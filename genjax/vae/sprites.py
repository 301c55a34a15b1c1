"""The convolutional networks of the literature on disentanglement, for pictures of 64 px."""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from genjax.config import choose
from genjax.errors import UserError
from genjax.nn import Conv, ConvTranspose

SIDE = 64

# {model.name: (encoder's convolutions, widths of its dense layers), of the decoder from the latents
# on: dense widths, transposed convolutions}, as (features, kernel) of stride 2.
_BURGESS = ((32, 4), (32, 4), (32, 4), (32, 4))
_LOCATELLO = ((32, 4), (32, 4), (64, 2), (64, 2))
_LAYERS = {
    # Burgess et al. 2018, arXiv:1804.03599: its decoder is the encoder's mirror.
    "burgess": (_BURGESS, (256, 256), (256, 256, 512), (32, 32, 32)),
    # Locatello et al. 2019, arXiv:1811.12359, in google-research/disentanglement_lib.
    "locatello": (_LOCATELLO, (256,), (256, 1024), (64, 32, 32)),
}


class Encoder(nn.Module):
    """f32[B, 64, 64, C] -> mean and log-variance of q(z | x), f32[B, latent] each.

    Attributes:
      convolutions: (features, kernel) of each, of stride 2, with ReLU.
      hidden: widths of the dense layers with ReLU after them.
      axis_name: unused, as there is no BatchNorm.
    """

    convolutions: Sequence[tuple[int, int]]
    hidden: Sequence[int]
    latent: int
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, train: bool):
        for features, kernel in self.convolutions:
            padding = (kernel - 2) // 2
            conv = Conv(features, kernel, stride=2, padding=padding, dtype=self.dtype)
            x = nn.relu(conv(x))
        x = x.reshape(len(x), -1)
        for width in self.hidden:
            x = nn.relu(nn.Dense(width, dtype=self.dtype)(x))
        moments = nn.Dense(2 * self.latent, dtype=self.dtype)(x).astype(jnp.float32)
        return tuple(jnp.split(moments, 2, axis=-1))


class Decoder(nn.Module):
    """f32[B, latent] -> f32[B, 64, 64, C], the logits or means of p(x | z).

    Attributes:
      hidden: widths of the dense layers, of which the last is reshaped to 4 x 4 pixels.
      features: of the transposed 4 x 4 convolutions of stride 2 before the last; ReLU between all.
    """

    hidden: Sequence[int]
    features: Sequence[int]
    channels: int
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z, train: bool):
        for width in self.hidden:
            z = nn.relu(nn.Dense(width, dtype=self.dtype)(z))
        x = z.reshape(len(z), 4, 4, -1)
        up = partial(ConvTranspose, kernel_size=4, stride=2, padding=1, dtype=self.dtype)
        for features in self.features:
            x = nn.relu(up(features)(x))
        return up(self.channels)(x).astype(jnp.float32)


def networks(model, shape: tuple[int, int, int], classes=0, mean_picture=None, **common):
    """(Encoder, Decoder) for images of `shape` (64, 64, C).

    Args:
      model: of the config; `name` and `latent` are read.
      classes, mean_picture: unused; they see no labels, and begin with biases of 0.
      common: `axis_name` and `dtype`, of both.

    Raises:
      UserError: images have another size.
    """
    if shape[:2] != (SIDE, SIDE):
        height, width, _ = shape
        raise UserError(
            f"model.name={model.name!r} takes {SIDE} px, not {width}x{height}: set data.size={SIDE}"
        )
    convolutions, hidden, widths, features = choose("model.name", model.name, _LAYERS)
    return (
        Encoder(convolutions, hidden, model.latent, **common),
        Decoder(widths, features, shape[2], **common),
    )
