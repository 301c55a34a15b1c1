"""DCGAN: Radford, Metz and Chintala 2016, arXiv:1511.06434; the layers of its Figure 1 and §4.

Convolutions of 4 x 4 pixels; at 64 px the networks have 3,576,704 and 2,765,568 parameters, and
each halving or doubling of the size takes away or adds one level. Neither reads the labels.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.gan.shapes import check_square
from genjax.nn import BatchNorm, Conv, ConvTranspose

_KERNEL = nn.initializers.normal(0.02)


def networks(model, shape: tuple[int, int, int], **common):
    """(Generator, Discriminator) for images of `shape`, with the config's `model.width`.

    Raises:
      UserError: the images are not square with a power of two as side, 8 px at least.
    """
    size, channels = check_square("DCGAN", shape)
    return (
        Generator(size, channels, model.width, **common),
        Discriminator(size, model.width, **common),
    )


def _scale_init(key, shape, dtype=jnp.float32):
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)


def _levels(size: int) -> int:
    """How many times a 4 x 4 picture doubles to reach `size`, less the layer to pixels."""
    return size.bit_length() - 4


class Generator(nn.Module):
    """Latents f32[B, Z] -> images f32[B, size, size, channels] in [-1, 1].

    Attributes:
      size: a power of two, at least 8 px.
      width: features of the layer before the pixels; doubled at each level below.
    """

    size: int
    channels: int
    width: int = 64
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z, label=None, *, train: bool):
        up = partial(ConvTranspose, use_bias=False, kernel_init=_KERNEL, dtype=self.dtype)
        norm = partial(
            BatchNorm, scale_init=_scale_init, axis_name=self.axis_name, dtype=self.dtype
        )
        levels = _levels(self.size)
        x = up(self.width << levels, 4)(z[:, None, None, :])
        for level in reversed(range(levels)):
            x = nn.relu(norm()(x, train))
            x = up(self.width << level, 4, stride=2, padding=1)(x)
        x = nn.relu(norm()(x, train))
        x = up(self.channels, 4, stride=2, padding=1)(x)
        return jnp.tanh(x.astype(jnp.float32))


class Discriminator(nn.Module):
    """Images f32[B, size, size, C] in [-1, 1] -> logits f32[B], positive for real.

    Attributes:
      size: a power of two, at least 8 px.
      width: features of the first layer; doubled at each level.
    """

    size: int
    width: int = 64
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, label=None, *, train: bool):
        conv = partial(Conv, use_bias=False, kernel_init=_KERNEL, dtype=self.dtype)
        norm = partial(
            BatchNorm, scale_init=_scale_init, axis_name=self.axis_name, dtype=self.dtype
        )
        x = nn.leaky_relu(conv(self.width, 4, stride=2, padding=1)(x), 0.2)
        for level in range(1, _levels(self.size) + 1):
            x = conv(self.width << level, 4, stride=2, padding=1)(x)
            x = nn.leaky_relu(norm()(x, train), 0.2)
        return conv(1, 4)(x).astype(jnp.float32).reshape(-1)
