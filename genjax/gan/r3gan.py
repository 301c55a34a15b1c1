"""R3GAN: Huang et al. 2024 (arXiv:2501.05441), "The GAN is dead; long live the GAN!".

Residual networks without norms, the same in both directions: G doubles the size from stage to
stage, D halves it. They are those of the authors' code, which at 32 px with ten classes have
20,781,952 and 21,280,512 parameters; configs/r3gan.py has the presets. Images are not bounded by a
tanh.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.config import choose
from genjax.errors import UserError
from genjax.gan.classes import known_classes
from genjax.gan.shapes import check_square
from genjax.nn import Conv, Dense
from genjax.nn.grouped import grouped_conv
from genjax.nn.resample import downsample, upsample
from genjax.nn.sums import with_bias

_SLOPE = 0.2  # of LeakyReLU
_EXPANSION = 2  # of the features inside a block
_LOWER = 4  # at most so many stages, those of the largest pictures, have another type than float32


def networks(model, shape: tuple[int, int, int], classes: int = 0, **common):
    """(Generator, Discriminator) for images of `shape` (H, W, C).

    Args:
      model: of the config; all keys of configs/r3gan.py are read.
      classes: how many labels there are.
      common: `axis_name` and `dtype`; no layer looks at more than one example.

    Raises:
      UserError: the images are not squares of 8, 16, 32, 64 … px, the widths are not those of
        stages from 4 px to their size, groups do not divide them, or there are no classes to
        condition on.
    """
    size, channels = check_square("R3GAN", shape)
    widths, groups = tuple(model.widths), tuple(model.groups)
    stages = size.bit_length() - 2
    for key, values in (("widths", widths), ("groups", groups)):
        if len(values) != stages:
            raise UserError(
                f"model.{key}={values} are {len(values)} stages, and pictures of {size} px have "
                f"{stages}, from 4 px on: set --config.model.{key} to so many"
            )
    for width, parts in zip(widths, groups, strict=True):
        if _EXPANSION * width % parts:
            raise UserError(
                f"model.groups={groups} has to divide {_EXPANSION} times model.widths={widths}"
            )
    choose("model.condition", model.condition, dict.fromkeys(("none", "projection")))
    classes = known_classes(model, classes)
    dtype = common.get("dtype", jnp.float32)
    stage = widths, groups, model.blocks
    return (
        Generator(channels, *stage, classes, model.embedding, dtype),
        Discriminator(*stage, classes, dtype),
    )


def _normal(gain: float = 1.0):
    """N(0, (gain / root of the fan-in)²)."""
    return nn.initializers.variance_scaling(gain**2, "fan_in", "normal")


def _types(stages: int, dtype) -> list:
    """The type of each stage's arithmetic, from 4 px on."""
    lower = min(stages - 1, _LOWER)
    return [jnp.float32] * (stages - lower) + [dtype] * lower


class Block(nn.Module):
    """f[B, H, W, C] -> x + y, with y of 1 x 1, grouped 3 x 3 and 1 x 1 pixels; §4.2 of the paper.

    No norms: the first two convolutions start so small that `depth` blocks keep the variance, and
    the third at 0 (Zhang et al. 2019, arXiv:1901.09321, §3).

    Attributes:
      groups: of the 3 x 3 convolution.
      depth: how many blocks the network has.
    """

    groups: int
    depth: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        width = x.shape[-1]
        inside = _EXPANSION * width
        # The gain of LeakyReLU, and the depth to the power of -1 / (2 * 3 layers - 2).
        init = _normal((2 / (1 + _SLOPE**2)) ** 0.5 * self.depth**-0.25)
        y = _conv(inside, self.dtype, "expand", init)(x)
        kernel = self.param("grouped", init, (3, 3, inside // self.groups, inside))
        y = grouped_conv(self._activate(y, "bias0"), kernel.astype(self.dtype))
        y = self._activate(y, "bias1")
        return x + _conv(width, self.dtype, "contract", nn.initializers.zeros)(y)

    def _activate(self, x, name: str):
        bias = self.param(name, nn.initializers.zeros, (x.shape[-1],)).astype(self.dtype)
        return nn.leaky_relu(with_bias(x, bias), _SLOPE)


def _conv(features: int, dtype, name: str, init=None) -> Conv:
    """A convolution of 1 x 1 pixels without bias."""
    init = init or _normal()
    return Conv(features, 1, use_bias=False, kernel_init=init, dtype=dtype, name=name)


def _dense(features: int, name: str, gain: float = 1.0) -> Dense:
    return Dense(features, use_bias=False, kernel_init=_normal(gain), name=name)


class Generator(nn.Module):
    """Latents f32[B, Z] -> images f32[B, size, size, channels], real ones being in [-1, 1].

    Attributes:
      widths: features at 4, 8, 16, … px; groups: of their blocks, in 3 x 3 convolutions.
      blocks: of each stage.
      classes: how many labels it is conditioned on; 0 for none.
      embedding: the length of a label's embedding, which stands behind z.
      dtype: of all stages but the first ones (`_types`).
    """

    channels: int
    widths: tuple[int, ...]
    groups: tuple[int, ...]
    blocks: int
    classes: int = 0
    embedding: int = 64
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z, label=None, *, train: bool):
        if self.classes:
            embed = _dense(self.embedding, "embed")
            z = jnp.concatenate([z, embed(jax.nn.one_hot(label, self.classes))], axis=-1)
        first = self.widths[0]
        basis = self.param("basis", nn.initializers.normal(1.0), (4, 4, first))
        x = basis[None] * _dense(first, "latent")(z)[:, None, None]
        stages = len(self.widths)
        types = _types(stages, self.dtype)
        for i, (width, groups, dtype) in enumerate(
            zip(self.widths, self.groups, types, strict=True)
        ):
            side = 4 << i
            if i:
                x = x.astype(dtype)
                if width != x.shape[-1]:
                    x = _conv(width, dtype, f"width_{side}")(x)
                x = upsample(x)
            for j in range(self.blocks):
                x = Block(groups, stages * self.blocks, dtype, name=f"block{j}_{side}")(x)
        return _conv(self.channels, types[-1], "pixels")(x).astype(jnp.float32)


class Discriminator(nn.Module):
    """Images f32[B, size, size, C] -> logits f32[B], positive for real.

    Attributes: those of `Generator`; `widths` and `groups` too are from 4 px on. With `classes`,
    the logit is the product of the features with the label's embedding.
    """

    widths: tuple[int, ...]
    groups: tuple[int, ...]
    blocks: int
    classes: int = 0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, label=None, *, train: bool):
        stages = len(self.widths)
        types = _types(stages, self.dtype)
        x = _conv(self.widths[-1], types[-1], "pixels")(x)
        for i in reversed(range(stages)):
            side, dtype = 4 << i, types[i]
            x = x.astype(dtype)
            for j in range(self.blocks):
                x = Block(self.groups[i], stages * self.blocks, dtype, name=f"block{j}_{side}")(x)
            if i:
                x = downsample(x)
                if self.widths[i - 1] != x.shape[-1]:
                    x = _conv(self.widths[i - 1], dtype, f"width_{side}")(x)
        # The mirror of the generator's basis: each feature's picture of 4 x 4 pixels to a number.
        width = self.widths[0]
        basis = self.param("basis", nn.initializers.normal(1 / 4), (4, 4, width))
        x = (x * basis[None]).sum((1, 2))
        if not self.classes:
            return _dense(1, "logit")(x)[:, 0]
        embed = _dense(width, "embed", gain=width**-0.5)
        return (_dense(width, "logit")(x) * embed(jax.nn.one_hot(label, self.classes))).sum(-1)
