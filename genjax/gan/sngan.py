"""SNGAN's plain convolutional networks: Miyato et al. 2018 (arXiv:1802.05957), Table 3.

There are two discriminators. That of Table 3 (`networks`) doubles the features in its 3 x 3
convolutions and keeps them in the 4 x 4 ones of stride 2 before: 2,935,873 parameters at 32 px in
colour and `width` 64. That of the authors' code, pfnet-research/chainer-gan-lib
(`chainer_gan_lib_networks`), doubles them in the 4 x 4 ones already: 5,860,865. The generator is
the same, 128 latents in both. Each halving or doubling of the image size removes or adds one level:
one transposed convolution in the generator, one such pair of convolutions in the discriminator.
Neither network uses the labels.
"""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from genjax.config import choose
from genjax.gan.shapes import check_square
from genjax.nn import BatchNorm, Conv, ConvTranspose, Dense, SpectralNorm

_NORMAL = nn.initializers.normal(0.02)

# {model.norm: (the module that normalises the discriminator's kernels, their initialiser)}. With
# spectral norms the initial scale does not matter. Without, initialisation has to keep the scale of
# activations from layer to layer (He et al. 2015, arXiv:1502.01852). The code of WGAN-GP's authors
# also uses He's factor, but with a uniform distribution and the mean of fan-in and fan-out.
_NORMS = {"spectral": (SpectralNorm, _NORMAL), "none": (None, nn.initializers.he_normal())}


# {model.head: what the discriminator has besides its logits}
_HEADS = {"none": 0, "rotation": 4}


def networks(model, shape: tuple[int, int, int], classes: int = 0, **common):
    """(Generator, Discriminator) of Table 3 for images of `shape` (H, W, C).

    Args:
      model: of the config; `width`, `norm` and, if there is one, `head` are read.
      classes: of the data, which neither network uses.
      common: `axis_name` and `dtype`.

    Raises:
      UserError: the images are not squares of 8, 16, 32, 64 … px, or `model.norm` or `model.head`
        is unknown.
    """
    return _networks(model, shape, False, **common)


def chainer_gan_lib_networks(model, shape: tuple[int, int, int], classes: int = 0, **common):
    """As `networks`, with the discriminator of the authors' code."""
    return _networks(model, shape, True, **common)


def _networks(model, shape, doubles_early, axis_name=None, dtype=jnp.float32):
    size, channels = check_square("SNGAN", shape)
    choose("model.norm", model.norm, _NORMS)
    head = choose("model.head", model.get("head", "none"), _HEADS)
    return (
        Generator(size, channels, model.width, axis_name, dtype),
        Discriminator(size, model.width, model.norm, doubles_early, head, dtype),
    )


def _levels(size: int) -> int:
    """Doublings from 4 x 4 to `size`."""
    return size.bit_length() - 3


class Generator(nn.Module):
    """Latents f32[B, Z] -> images f32[B, size, size, channels] in [-1, 1].

    Layers before a BatchNorm have no bias, because BatchNorm would subtract it.

    Attributes:
      size: a power of two, at least 8 px.
      width: features of the layer before the pixels; doubled with each layer further back.
    """

    size: int
    channels: int
    width: int
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z, label=None, *, train: bool):
        common = {"kernel_init": _NORMAL, "dtype": self.dtype}
        norm = partial(BatchNorm, axis_name=self.axis_name, dtype=self.dtype)
        levels = _levels(self.size)
        features = self.width << levels
        x = Dense(4 * 4 * features, use_bias=False, **common)(z).reshape(-1, 4, 4, features)
        x = nn.relu(norm()(x, train))
        for level in reversed(range(levels)):
            up = ConvTranspose(
                self.width << level, 4, stride=2, padding=1, use_bias=False, **common
            )
            x = nn.relu(norm()(up(x), train))
        return jnp.tanh(Conv(self.channels, 3, padding=1, **common)(x).astype(jnp.float32))


class Discriminator(nn.Module):
    """Images f32[B, size, size, C] in [-1, 1] -> logits f32[B], positive for real.

    No layer mixes the examples of a batch, as gradient penalties require.

    Attributes:
      size: a power of two, at least 8 px.
      width: features of the first layer; doubled at each halving of the size.
      norm: of the kernels: "spectral", or "none" for gradient penalties (WGAN-GP, R1).
      doubles_early: whether the 4 x 4 convolution that halves the size doubles the features, or the
        3 x 3 one that follows it.
      head: if not 0, the output is (logits, so many other numbers f32[B, head]), such as those of
        quarter turns (`genjax.gan.rotation`).
    """

    size: int
    width: int
    norm: str
    doubles_early: bool
    head: int = 0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, label=None, *, train: bool):
        kernel_norm, kernel_init = _NORMS[self.norm]
        common = {"kernel_norm": kernel_norm, "kernel_init": kernel_init, "dtype": self.dtype}
        x = nn.leaky_relu(Conv(self.width, 3, padding=1, **common)(x), 0.1)
        for level in range(1, _levels(self.size) + 1):
            features = self.width << level
            halved = features if self.doubles_early else features // 2
            x = nn.leaky_relu(Conv(halved, 4, stride=2, padding=1, **common)(x), 0.1)
            x = nn.leaky_relu(Conv(features, 3, padding=1, **common)(x), 0.1)
        x = x.reshape(x.shape[0], -1)
        logits = Dense(1, **common)(x).astype(jnp.float32).reshape(-1)
        return (logits, Dense(self.head, **common)(x).astype(jnp.float32)) if self.head else logits
