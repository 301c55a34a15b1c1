"""StyleGAN2: Karras et al. 2020 (arXiv:1912.04958), with the settings of StyleGAN2-ADA.

The networks are those of that paper's code (Karras et al. 2020, arXiv:2006.06676), whose parameters
they have to the last one; configs/stylegan2.py has the presets, and `genjax.gan.path_length` the
generator's regularizer. Images are not bounded by a tanh.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax import rng
from genjax.config import choose
from genjax.errors import UserError
from genjax.gan import mapping, path_length, synthesis
from genjax.gan.classes import known_classes
from genjax.gan.equalized import EqualConv, EqualDense, activate
from genjax.gan.mapping import Mapping
from genjax.gan.minibatch import with_deviation
from genjax.gan.shapes import check_square
from genjax.gan.synthesis import HALF, Synthesis

_LABEL_LAYERS = 8  # of the discriminator's mapping of labels, however many the generator's has


_CHOICES = {
    "generator": ("skip", "resnet"),
    "discriminator": ("orig", "resnet"),
    "condition": ("none", "projection"),
}


def networks(model, shape: tuple[int, int, int], classes: int = 0, **common):
    """(Generator, Discriminator) for images of `shape` (H, W, C).

    Args:
      model: of the config; all keys of configs/stylegan2.py are read.
      classes: how many labels there are.
      common: `axis_name` and `dtype`, of both.

    Raises:
      UserError: the images are not squares of 8, 16, 32, 64 … px, there are no classes to condition
        on, the largest pictures would have no features, or an architecture is unknown.
    """
    size, channels = check_square("StyleGAN2", shape)
    for key, known in _CHOICES.items():
        choose(f"model.{key}", model[key], dict.fromkeys(known))
    if model.base < size:
        raise UserError(
            f"model.base={model.base} leaves no features for pictures of {size} px: set it to at "
            f"least {size}"
        )
    classes = known_classes(model, classes)
    generator = Generator(
        size,
        channels,
        model.base,
        model.width,
        model.style,
        model.mapping,
        classes,
        model.mixing,
        model.generator,
        **common,
    )
    discriminator = Discriminator(
        size, model.base, model.width, model.group, classes, model.discriminator, **common
    )
    return generator, discriminator


class Generator(nn.Module):
    """Latents f32[B, Z] -> images f32[B, size, size, channels], real ones being in [-1, 1].

    In training it draws from Linen's random stream `noise`: noise for each layer, and with the
    probability `mixing` a second style for each picture's later layers.

    Attributes:
      base, width, architecture: of `Synthesis`.
      style: the length of a style; layers: of the mapping network.
      classes: how many labels it is conditioned on; 0 for none.
    """

    size: int
    channels: int
    base: int
    width: int
    style: int
    layers: int
    classes: int = 0
    mixing: float = 0.0
    architecture: str = "skip"
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        self.mapping = Mapping(
            self.style, self.layers, self.classes, tracked=True, axis_name=self.axis_name
        )
        self.synthesis = Synthesis(
            self.size,
            self.channels,
            self.base,
            self.width,
            self.architecture,
            self.axis_name,
            self.dtype,
        )

    def __call__(self, z, label=None, *, train: bool):
        return self.synthesis(self.styles(z, label, train=train), train=train)

    def styles(self, z, label=None, *, train: bool):
        """The styles ws f32[B, layers, style] of latents; mixed ones in training."""
        count = synthesis.layers(self.size)
        ws = mapping.for_layers(self.mapping(z, label, train=train), count)
        if train and self.mixing and not self.is_initializing():
            key_cutoff, key_z = jax.random.split(self.make_rng("noise"))
            others = rng.normal(key_z, z.shape[0], z.shape[1:], self.axis_name)
            others = self.mapping(others, label, train=True, track=False)
            cutoff = mapping.mixing_cutoff(key_cutoff, count, self.mixing)
            ws = mapping.mix(ws, mapping.for_layers(others, count), cutoff)
        return ws

    def draw(self, ws, *, train: bool):
        """The images f32[B, size, size, channels] of styles ws f32[B, layers, style]."""
        return self.synthesis(ws, train=train)

    @nn.nowrap
    def path_length(self, variables, z, label, key, mean, decay: float, axis_name=None):
        """(the path-length penalty f32[], the new mean of lengths f32[]): `genjax.gan.path_length`.

        As in the authors' code, styles are mixed here too, and the mean style stays as it was.

        Args:
          variables: of this network.
          key: of noise, mixing and the random pictures.
          mean, decay: of the mean of lengths.
          axis_name: the mapped axis over which the batch is sharded.
        """
        key_styles, key_noise, key_y = jax.random.split(key, 3)

        def apply(method, *inputs, key):
            options = {"train": True, "rngs": {"noise": key}, "mutable": ["batch_stats"]}
            return self.apply(variables, *inputs, method=method, **options)[0]

        def draw(ws):
            return apply("draw", ws, key=key_noise)

        ws = apply("styles", z, label, key=key_styles)
        lengths = path_length.path_lengths(draw, ws, key_y, axis_name)
        values, mean = path_length.penalty(lengths, mean, decay, axis_name)
        return values.mean(), mean


class Discriminator(nn.Module):
    """Images f32[B, size, size, C] -> logits f32[B], positive for real.

    Attributes:
      base, width: see `synthesis.features`.
      group: over how many examples the last block takes deviations (`genjax.gan.minibatch`).
      classes: how many labels it is conditioned on: the logit is then the product of the last
        features with a mapped label's. 0 for none.
      architecture: "orig" or "resnet": each block has a second branch.
      axis_name: the mapped axis over which the batch is sharded; None where it is all of it.
      takes_parts: it can judge several batches at once (`genjax.gan.judging`).
    """

    takes_parts = True

    size: int
    base: int
    width: int
    group: int
    classes: int = 0
    architecture: str = "resnet"
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, label=None, *, train: bool, parts: int = 1):
        """Logits; with `parts`, of so many batches, whose images come in turn."""
        pixels = EqualConv(self._features(self.size), 1, dtype=self.dtype, name="pixels")
        x = activate(pixels(x))
        for size in reversed(synthesis.sizes(self.size)[1:]):
            x = self._block(x, size)
        c = self._features(4)
        x = x.astype(jnp.float32)
        batches = [with_deviation(x[i::parts], self.group, self.axis_name) for i in range(parts)]
        x = jnp.stack(batches, 1).reshape(len(x), 4, 4, -1)
        x = activate(EqualConv(c, 3, name="conv_4")(x))
        x = activate(EqualDense(c, name="dense")(x.reshape(x.shape[0], -1)))
        if not self.classes:
            return EqualDense(1, name="logit")(x)[:, 0]
        x = EqualDense(c, name="logit")(x)
        to_style = Mapping(c, _LABEL_LAYERS, self.classes, tracked=False, name="mapping")
        return (x * to_style(None, label, train=train)).sum(-1) / c**0.5

    def _features(self, size: int) -> int:
        return synthesis.features(size, self.base, self.width)

    def _block(self, x, size: int):
        """From `size` pixels a side to half as many."""
        c, half = self._features(size), self._features(size // 2)
        y = activate(EqualConv(c, 3, dtype=self.dtype, name=f"conv_{size}")(x))
        y = EqualConv(half, 3, "down", dtype=self.dtype, name=f"down_{size}")(y)
        if self.architecture == "orig":
            return activate(y)
        shortcut = EqualConv(half, 1, "down", False, self.dtype, name=f"shortcut_{size}")(x)
        return activate(y, HALF) + HALF * shortcut
