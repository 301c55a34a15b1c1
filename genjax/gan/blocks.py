"""Residual generators and discriminators, of which SNGAN's, SAGAN's and BigGAN's are settings.

What they share is here: the blocks, the order of the layers, and how a class enters (Miyato and
Koyama 2018, arXiv:1802.05637). The widths, norms and initial values that were published are in a
file each: `resnet.py`, `sagan.py`, `biggan.py`.
"""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.errors import UserError
from genjax.gan.shapes import check_square
from genjax.nn import (
    BatchNorm,
    ConditionalBatchNorm,
    Conv,
    Dense,
    Embed,
    SelfAttention,
    average_pool,
)
from genjax.nn.upsample import nearest

LARGEST = 128  # px, of the widths that were published
ROTATIONS = 4  # by 0, 90, 180 and 270 degrees: Chen et al. 2019, arXiv:1811.11212


@dataclasses.dataclass(frozen=True)
class Layers:
    """How a network makes its layers.

    Attributes:
      kernel_init: of kernels, but for those of residual branches, which have `residual_init`.
      kernel_norm: of kernels, as for `genjax.nn.Conv`; condition_norm: of those by which a
        condition scales and moves features, with scale_init and bias_init.
      epsilon: BatchNorm's.
      axis_name, dtype: as for `genjax.nn.BatchNorm`.
    """

    kernel_init: Callable
    residual_init: Callable
    kernel_norm: Callable[[], nn.Module] | None = None
    condition_norm: Callable[[], nn.Module] | None = None
    scale_init: Callable = nn.initializers.zeros
    bias_init: Callable = nn.initializers.zeros
    epsilon: float = 1e-5
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    def conv(self, features: int, size: int, name=None, residual: bool = False) -> Conv:
        """A convolution that keeps the sides of its input; `size` is that of its kernel, odd."""
        return Conv(
            features,
            size,
            padding=size // 2,
            kernel_init=self.residual_init if residual else self.kernel_init,
            kernel_norm=self.kernel_norm,
            dtype=self.dtype,
            name=name,
        )

    def dense(self, features: int, dtype, name=None, use_bias: bool = True) -> Dense:
        return Dense(features, self.kernel_norm, self.kernel_init, use_bias, dtype, name=name)

    def batch_norm(self, x, train: bool, condition=None):
        """BatchNorm of x, conditional where there is a condition f32[B, N]."""
        common = {"epsilon": self.epsilon, "axis_name": self.axis_name, "dtype": self.dtype}
        if condition is None:
            return BatchNorm(**common)(x, train)
        norm = ConditionalBatchNorm(
            scale_init=self.scale_init,
            bias_init=self.bias_init,
            kernel_norm=self.condition_norm,
            **common,
        )
        return norm(x, condition, train)

    def attention(self) -> SelfAttention:
        return SelfAttention(self.kernel_init, self.kernel_norm, self.dtype)


class GeneratorBlock(nn.Module):
    """f[B, H, W, C] -> f[B, 2H, 2W, features]: BN, ReLU, x2, conv 3, BN, ReLU, conv 3.

    The shortcut is a 1 x 1 convolution and x2, in this order: `upsample` is linear and keeps
    constants, so that the published order gives the same at four times the cost.
    """

    features: int
    layers: Layers
    upsample: Callable = nearest

    @nn.compact
    def __call__(self, x, condition=None, *, train: bool):
        layers = self.layers
        shortcut = self.upsample(layers.conv(self.features, 1, "shortcut")(x))
        x = self.upsample(nn.relu(layers.batch_norm(x, train, condition)))
        x = layers.conv(self.features, 3, residual=True)(x)
        x = nn.relu(layers.batch_norm(x, train, condition))
        return layers.conv(self.features, 3, residual=True)(x) + shortcut


class DiscriminatorBlock(nn.Module):
    """f[B, H, W, C] -> f[B, H', W', features]: ReLU, conv 3, ReLU, conv 3, and the mean of 2 x 2.

    The first block of a network ("optimized" in the authors' code) has no ReLU before it. The
    shortcut of the others is published as convolution before mean; both are linear, so the other
    order gives the same at a quarter of the cost. A block that keeps sides and features has the
    input itself for a shortcut.

    Attributes:
      hidden: features between the convolutions.
      halve: whether sides are halved; the first block halves them.
      batch_norm: whether there is a BatchNorm before each convolution, the shortcut's included, as
        in StudioGAN's networks without spectral norms.
    """

    features: int
    hidden: int
    layers: Layers
    halve: bool
    first: bool = False
    batch_norm: bool = False

    @nn.compact
    def __call__(self, x, *, train: bool):
        layers, shortcut = self.layers, x

        def normalised(x):
            return layers.batch_norm(x, train) if self.batch_norm else x

        if self.first:
            shortcut = average_pool(shortcut)
        if self.halve or self.features != x.shape[-1]:
            shortcut = normalised(shortcut)
            if self.halve and not self.first:
                shortcut = average_pool(shortcut)
            shortcut = layers.conv(self.features, 1, "shortcut")(shortcut)
        if not self.first:
            x = nn.relu(normalised(x))
        x = layers.conv(self.hidden, 3, residual=True)(x)
        x = layers.conv(self.features, 3, residual=True)(nn.relu(normalised(x)))
        return (average_pool(x) if self.halve else x) + shortcut


class Generator(nn.Module):
    """Latents f32[B, Z] and classes i32[B] -> images f32[B, size, size, channels] in [-1, 1].

    Attributes:
      features: of the 4 x 4 pixels it begins with, and of each block's output; a block doubles.
      classes: how many; 0 for a generator that does not know them.
      shared: length of one embedding of the class for all BatchNorms. z is then cut into equal
        parts (BigGAN's hierarchical latents): the first one makes the 4 x 4 pixels, and each block
        is conditioned on the embedding and a part of its own. 0: each BatchNorm learns its scale
        and bias of each class, and z makes the 4 x 4 pixels.
      attention: whether there is self-attention where sides are half the image's.
    """

    channels: int
    features: tuple[int, ...]
    layers: Layers
    classes: int = 0
    shared: int = 0
    upsample: Callable = nearest
    attention: bool = False

    @nn.compact
    def __call__(self, z, label=None, *, train: bool):
        layers, first, blocks = self.layers, self.features[0], self.features[1:]
        z, conditions = self._conditions(z, label, len(blocks))
        x = layers.dense(4 * 4 * first, layers.dtype)(z).reshape(-1, 4, 4, first)
        for i, (features, condition) in enumerate(zip(blocks, conditions, strict=True), 1):
            if self.attention and i == len(blocks):
                x = layers.attention()(x)
            x = GeneratorBlock(features, layers, self.upsample)(x, condition, train=train)
        x = nn.relu(layers.batch_norm(x, train))
        return jnp.tanh(layers.conv(self.channels, 3)(x).astype(jnp.float32))

    def _conditions(self, z, label, blocks: int):
        """(latents of the 4 x 4 pixels, [condition f32[B, N] or None, ...] of the blocks)."""
        if not self.classes:
            return z, [None] * blocks
        if not self.shared:
            return z, [jax.nn.one_hot(label, self.classes)] * blocks
        init = self.layers.kernel_init
        embedded = Embed(self.classes, self.shared, kernel_init=init, name="shared")(label)
        first, *parts = jnp.split(z, blocks + 1, axis=1)
        return first, [jnp.concatenate([embedded, part], 1) for part in parts]


class Discriminator(nn.Module):
    """Images f32[B, size, size, C] in [-1, 1] -> logits f32[B], positive for real, or a tuple.

    Without `batch_norm`, no layer mixes the examples of a batch, as gradient penalties require.
    Logits are float32 whatever `layers.dtype` is.

    Attributes:
      features: of each block's output; `halvings`: how many of the first blocks halve the sides.
      wide: whether blocks that change the features do so in their first convolution, or in their
        second one.
      classes: how many, for `condition`.
      condition: "none"; "projection": the logit has the inner product of the features with an
        embedding of the class added (Miyato and Koyama, eq. 3); "auxiliary": the output is (logits,
        class logits f32[B, classes]), as AC-GAN's (Odena et al. 2017, arXiv:1610.09585).
      rotation: whether the output is (logits, logits f32[B, 4] of how far the image is turned).
      mean: whether features are the mean over the last pixels (WGAN-GP), not the sum.
      attention: whether there is self-attention where sides are half the image's.
    """

    features: tuple[int, ...]
    halvings: int
    layers: Layers
    wide: bool = False
    classes: int = 0
    condition: str = "none"
    rotation: bool = False
    mean: bool = False
    attention: bool = False
    batch_norm: bool = False

    @nn.compact
    def __call__(self, x, label=None, *, train: bool):
        layers = self.layers
        for i, features in enumerate(self.features):
            hidden = features if self.wide or i == 0 else x.shape[-1]
            block = DiscriminatorBlock(
                features,
                hidden,
                layers,
                halve=i < self.halvings,
                first=i == 0,
                batch_norm=self.batch_norm,
            )
            x = block(x, train=train)
            if self.attention and i == 0:
                x = layers.attention()(x)
        x = nn.relu(x).astype(jnp.float32)
        x = x.mean((1, 2)) if self.mean else x.sum((1, 2))

        logits = layers.dense(1, jnp.float32, "logit")(x)[:, 0]
        if self.condition == "projection":
            embed = Embed(self.classes, x.shape[-1], layers.kernel_norm, layers.kernel_init)
            logits += jnp.sum(embed(label) * x, -1)
        if self.condition == "auxiliary":
            return logits, layers.dense(self.classes, jnp.float32, "class", use_bias=False)(x)
        if self.rotation:
            return logits, layers.dense(ROTATIONS, jnp.float32, "rotation")(x)
        return logits


def projection_discriminator(
    size: int, widths: tuple[int, ...], layers: Layers, classes: int, attention: bool = False
) -> Discriminator:
    """SAGAN's and BigGAN's, whose blocks widen in their first convolution.

    Args:
      size: of the images; widths: features of each block.
    """
    return Discriminator(
        widths,
        halvings(size),
        layers,
        wide=True,
        classes=classes,
        condition="projection",
        attention=attention,
    )


def check_size(network: str, shape: tuple[int, int, int]) -> tuple[int, int]:
    """(size, channels) of square images of shape (H, W, C).

    Raises:
      UserError: they are not squares of 8, 16, 32, 64 or 128 px. The message names `network`.
    """
    size, channels = check_square(network, shape)
    if size > LARGEST:
        raise UserError(
            f"{network} makes squares of up to {LARGEST} px, not {size}x{size}: set data.size"
        )
    return size, channels


def generator_widths(size: int, of_64: tuple[int, ...]) -> tuple[int, ...]:
    """Features of the 4 x 4 pixels and of each block, in units of `model.width`.

    Args:
      size: of the image, up to 128 px; `of_64`: those at 64 px, where public networks differ.
    """
    widths = {64: of_64, 128: (16, 16, 8, 4, 2, 1)}
    return widths.get(size, (4,) * (size.bit_length() - 2))


def discriminator_widths(size: int, small: int = 2) -> tuple[int, ...]:
    """Features of each block, in units of `model.width`; `small` in all blocks up to 32 px."""
    widths = {64: (1, 2, 4, 8, 16), 128: (1, 2, 4, 8, 16, 16)}
    return widths.get(size, (small,) * (size.bit_length() - 2))


def times(width: int, widths: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(width * x for x in widths)


def halvings(size: int) -> int:
    """How many blocks of a discriminator halve the sides: to 8 px of a small image, else to 4."""
    return max(1, size.bit_length() - (4 if size < 64 else 3))
