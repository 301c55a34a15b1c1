"""DCGAN: Radford, Metz and Chintala 2016 (arXiv:1511.06434), Figure 1 and §4.

As in PyTorch's example, kernels are 4 x 4 pixels; those of the authors' code are 5 x 5. `width` is
128 in Figure 1 and 64 in PyTorch's example, whose networks have 3,576,704 and 2,765,568 parameters
(64 px, RGB, 100 latents). Each halving or doubling of the image size removes or adds one level.
Neither network uses the labels.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.gan.shapes import check_square
from genjax.nn import BatchNorm, Conv, ConvTranspose

_KERNEL = nn.initializers.normal(0.02)


def networks(model, shape: tuple[int, int, int], classes: int = 0, **common):
    """(Generator, Discriminator) for images of `shape` (H, W, C); of `model`, `width` is read.

    Args:
      classes: of the data, which neither network uses.
      common: `axis_name` and `dtype`, of both.

    Raises:
      UserError: the images are not squares of 8, 16, 32, 64 … px.
    """
    size, channels = check_square("DCGAN", shape)
    return (
        Generator(size, channels, model.width, **common),
        Discriminator(size, model.width, **common),
    )


def scale_init(key, shape, dtype=jnp.float32):
    """BatchNorm's initial scale, from N(1, 0.02²), as in the authors' code."""
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)


def _levels(size: int) -> int:
    """Doublings from 4 x 4 to `size`, without the last one, whose layer makes the pixels."""
    return size.bit_length() - 4


class Generator(nn.Module):
    """Latents f32[B, Z] -> images f32[B, size, size, channels] in [-1, 1].

    Attributes:
      size: a power of two, at least 8 px.
      width: features of the layer before the pixels; doubled with each layer further back.
    """

    size: int
    channels: int
    width: int = 64
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z, label=None, *, train: bool):
        up = partial(ConvTranspose, use_bias=False, kernel_init=_KERNEL, dtype=self.dtype)
        norm = partial(BatchNorm, scale_init=scale_init, axis_name=self.axis_name, dtype=self.dtype)
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
      width: features of the first layer; doubled in each layer but the last.
    """

    size: int
    width: int = 64
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, label=None, *, train: bool):
        conv = partial(Conv, use_bias=False, kernel_init=_KERNEL, dtype=self.dtype)
        norm = partial(BatchNorm, scale_init=scale_init, axis_name=self.axis_name, dtype=self.dtype)
        x = nn.leaky_relu(conv(self.width, 4, stride=2, padding=1)(x), 0.2)
        for level in range(1, _levels(self.size) + 1):
            x = conv(self.width << level, 4, stride=2, padding=1)(x)
            x = nn.leaky_relu(norm()(x, train), 0.2)
        return conv(1, 4)(x).astype(jnp.float32).reshape(-1)
