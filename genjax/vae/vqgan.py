"""The autoencoder of VQ-GAN: Esser, Rombach and Ommer 2021 (arXiv:2012.09841), table 7.

As in the authors' code: residual blocks of GroupNorm, swish and 3 x 3 convolutions, one block more
in each level of the decoder than of the encoder, attention at given sides and in the middle, and
initial kernels as PyTorch draws them.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.errors import UserError
from genjax.nn import Conv, GroupNorm
from genjax.nn.upsample import nearest

_KERNEL = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class _Part(nn.Module):
    """What all parts have.

    Attributes:
      groups: of GroupNorm.
    """

    groups: int
    dtype: jnp.dtype

    def conv(self, features: int, size: int, **options):
        """A convolution that keeps the sides; `size` is that of its kernel, odd."""
        options = {"padding": size // 2} | options
        return Conv(features, size, kernel_init=_KERNEL, dtype=self.dtype, **options)

    def norm(self):
        return GroupNorm(self.groups, dtype=self.dtype)


class Residual(_Part):
    """x + [GroupNorm, swish, 3 x 3, GroupNorm, swish, 3 x 3](x), with a 1 x 1 convolution of x
    where the features change."""

    features: int

    @nn.compact
    def __call__(self, x):
        y = self.conv(self.features, 3)(nn.swish(self.norm()(x)))
        y = self.conv(self.features, 3)(nn.swish(self.norm()(y)))
        return y + (x if x.shape[-1] == self.features else self.conv(self.features, 1)(x))


class Attention(_Part):
    """x + attention over all pixels of GroupNorm(x), with one head, by 1 x 1 convolutions."""

    @nn.compact
    def __call__(self, x):
        b, h, w, c = x.shape
        y = self.norm()(x)
        q, k, v = (self.conv(c, 1, name=name)(y).reshape(b, h * w, c) for name in "qkv")
        likeness = jnp.einsum("bqc,bkc->bqk", q, k).astype(jnp.float32) / c**0.5
        weights = jax.nn.softmax(likeness).astype(self.dtype)
        attended = jnp.einsum("bqk,bkc->bqc", weights, v).reshape(b, h, w, c)
        return x + self.conv(c, 1, name="out")(attended)


class _Levels(_Part):
    """The base of both networks.

    Attributes:
      widths: features at each level, from the pixels down.
      blocks: residual blocks of each level of the encoder.
      attention: the sides, in px, of what attention follows each block of.
    """

    widths: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]

    def level(self, x, features: int, blocks: int):
        """Residual blocks, each with attention where sides are those."""
        for _ in range(blocks):
            x = Residual(self.groups, self.dtype, features)(x)
            if x.shape[1] in self.attention:
                x = Attention(self.groups, self.dtype)(x)
        return x

    def middle(self, x):
        x = Residual(self.groups, self.dtype, x.shape[-1])(x)
        x = Attention(self.groups, self.dtype)(x)
        return Residual(self.groups, self.dtype, x.shape[-1])(x)


class Encoder(_Levels):
    """f32[B, H, W, C] in [-1/2, 1/2] -> f32[B, h, w, features], before quantization.

    The authors' pictures are twice as large, in [-1, 1], and so are those that the first layer
    sees. h is H / 2^(L - 1) for L levels: all but the last one halve the sides.

    Attributes:
      features: of a code.
    """

    features: int

    @nn.compact
    def __call__(self, x, train: bool):
        x = self.conv(self.widths[0], 3)(2 * x)
        for i, width in enumerate(self.widths):
            if i:
                # A row and a column of zeros at the far edges only.
                x = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
                x = self.conv(x.shape[-1], 3, stride=2, padding=0)(x)
            x = self.level(x, width, self.blocks)
        x = nn.swish(self.norm()(self.middle(x)))
        x = self.conv(self.features, 3)(x)
        return self.conv(self.features, 1)(x).astype(jnp.float32)


class _Hidden(_Levels):
    """The decoder but for its last convolution."""

    @nn.compact
    def __call__(self, z):
        z = self.conv(z.shape[-1], 1)(z)
        x = self.middle(self.conv(self.widths[-1], 3)(z))
        for i, width in enumerate(reversed(self.widths)):
            if i:
                x = self.conv(x.shape[-1], 3)(nearest(x))
            x = self.level(x, width, self.blocks + 1)
        return nn.swish(self.norm()(x))


class Decoder(_Levels):
    """f32[B, h, w, features] -> f32[B, H, W, channels], half of what the last layer says."""

    channels: int

    def setup(self):
        parts = self.groups, self.dtype, self.widths, self.blocks, self.attention
        self.inner = _Hidden(*parts)
        self.last = self.conv(self.channels, 3)

    def __call__(self, z, train: bool):
        return self.pixels(self.hidden(z))

    def hidden(self, z):
        """f32[B, H, W, width], what the last convolution makes pixels of."""
        return self.inner(z)

    def pixels(self, x):
        """The last convolution, whose kernel weighs losses (`genjax.vae.adversarial`)."""
        return self.last(x).astype(jnp.float32) / 2


def networks(model, shape: tuple[int, int, int], features: int, dtype=jnp.float32):
    """(Encoder, Decoder) for images of `shape` (H, W, C) and codes of so many features.

    Args:
      model: of the config; `width`, `multipliers`, `blocks`, `groups` and `attention` are read.

    Raises:
      UserError: the sides cannot be halved so often, or groups do not divide the features.
    """
    height, width, channels = shape
    block = 2 ** (len(model.multipliers) - 1)
    if height % block or width % block:
        raise UserError(
            f"model.multipliers={tuple(model.multipliers)} halve pictures {block.bit_length() - 1}"
            f" times, which {width}x{height} px does not allow: set data.size to a multiple of"
            f" {block}"
        )
    widths = tuple(model.width * times for times in model.multipliers)
    if any(features % model.groups for features in widths):
        raise UserError(
            f"model.groups={model.groups} does not divide all features, {widths}: make model.width"
            " a multiple of it"
        )
    parts = {
        "groups": model.groups,
        "dtype": dtype,
        "widths": widths,
        "blocks": model.blocks,
        "attention": tuple(model.attention),
    }
    return Encoder(**parts, features=features), Decoder(**parts, channels=channels)
