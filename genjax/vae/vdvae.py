"""The networks of very deep VAEs (Child 2021, arXiv:2011.10650, figure 3), as in openai/vdvae.

The encoder's blocks go from the picture down to one pixel, and the decoder's from there up to the
picture. Each block of the decoder has a latent at its resolution: a normal prior that depends on
all latents before it, and a posterior that sees the encoder's features at that resolution, too.
"""

import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.errors import UserError
from genjax.nn import Conv, average_pool
from genjax.nn.upsample import nearest
from genjax.vae import logistics

_BOTTLENECK = 4  # inner layers of a block have a quarter of its features


class Part(NamedTuple):
    """One block of a network's description.

    Attributes:
      side: of its input, in pixels.
      down: by what the encoder's block divides the side after it; 1 for not.
      mix: the side of the coarser features that are added before the decoder's block; 0 for none.
    """

    side: int
    down: int = 1
    mix: int = 0

    @property
    def name(self) -> str:
        """As in a description, of one block."""
        return f"{self.side}" + f"d{self.down}" * (self.down > 1) + f"m{self.mix}" * (self.mix > 0)


def parts(text: str, key: str) -> list[Part]:
    """The blocks of a description such as "32x11,32d2,16m8".

    SIDExN is N blocks, SIDEdN one block before the side is divided by N, and SIDEmN one latent
    block before which the features of side N are added.

    Raises:
      UserError: it is written otherwise, or sides change by what is no power of 2; `key` is named.
    """
    found = []
    for word in text.split(","):
        match = re.fullmatch(r"(\d+)([xdm])(\d+)", word.strip())
        side, kind, number = match.groups() if match else ("0", "", "0")
        side, number = int(side), int(number)
        ratio = number if kind == "d" else side / number if kind == "m" and number else 2
        if (
            not (side and number)
            or ratio < 2
            or math.log2(ratio) % 1
            or (kind == "d" and side % number)
        ):
            raise UserError(
                f"{key}: {word.strip()!r} is no block: write SIDExCOUNT, SIDEd2 to divide the side"
                " by a power of 2, or SIDEm4 to add features of 4 px, such as 8x2,8d2,4x1"
            )
        many = {"d": [Part(side, down=number)], "m": [Part(side, mix=number)]}
        found += many.get(kind, [Part(side)] * number)
    return found


class Latent(NamedTuple):
    """What the blocks of the decoder say of one sample of each picture's latents, in nats.

    Attributes:
      kl: f32[B], KL(q || p) of each latent given those before it, in closed form, their sum.
      log_ratio: f32[B], log p(z) - log q(z | x) of the sample.
    """

    kl: jax.Array
    log_ratio: jax.Array


def kl_of_normals(mean_q, log_sigma_q, mean_p, log_sigma_p):
    """KL(N(mean_q, sigma_q^2) || N(mean_p, sigma_p^2)) elementwise, f32[...], in nats."""
    squares = jnp.exp(2 * log_sigma_q) + jnp.square(mean_q - mean_p)
    return -0.5 + log_sigma_p - log_sigma_q + 0.5 * squares * jnp.exp(-2 * log_sigma_p)


class Block(nn.Module):
    """Four convolutions, each after a GELU: 1 x 1, 3 x 3, 3 x 3, 1 x 1; with one or two pixels a
    side all are 1 x 1. f[B, H, W, C] -> f[B, H, W, features].

    Attributes:
      inner: features of the inner layers.
      residual: whether the input is added.
      share: of the variance that the last kernel begins with; 0 for zeros.
    """

    inner: int
    features: int
    residual: bool = False
    share: float = 1.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        size = 3 if x.shape[1] > 2 else 1
        y = x
        for number, kernel in enumerate((1, size, size), 1):
            layer = _conv(self.inner, kernel, self.dtype, name=f"conv{number}")
            y = layer(nn.gelu(y, approximate=False))
        last = _conv(self.features, 1, self.dtype, self.share, name="conv4")
        y = last(nn.gelu(y, approximate=False))
        return x + y if self.residual else y


def _conv(features: int, size: int, dtype, share: float = 1.0, **named):
    """A kernel begins as PyTorch's, uniform in ±1 / sqrt(inputs), times the root of `share`."""
    init = nn.initializers.variance_scaling(share / 3, "fan_in", "uniform")
    init = init if share else nn.initializers.zeros
    return Conv(features, size, padding=size // 2, kernel_init=init, dtype=dtype, **named)


def _runs(blocks: Sequence[Part]) -> Iterator[tuple[Part, list[str]]]:
    """(Part, names of the blocks) of each run of equal parts, in order."""
    numbered = itertools.groupby(enumerate(blocks), lambda each: each[1])
    for part, run in numbered:
        yield part, [f"block{number}_{part.name}" for number, _ in run]


def _in_turn(module: nn.Module, names: Sequence[str], make: Callable, call: Callable, x, each=None):
    """(x, said) of equal blocks of a module, one after the other, each with its own parameters.

    Several are one program in a loop: that of the 76 blocks of CIFAR-10's networks would otherwise
    take more memory to compile than most machines have.

    Args:
      names: of the blocks, as the module's parameters are called.
      make: makes a block; its `name` or `parent` is given.
      call: `(block, x, one of each) -> (x, said)`.
      each: arrays with an axis of blocks first; so are those of `said`.
    """
    first = jax.tree.map(lambda array: array[0], each)
    if len(names) == 1:
        x, said = call(make(name=names[0]), x, first)
        return x, jax.tree.map(lambda array: array[None], said)
    block = make(parent=None)
    if module.is_initializing():
        init = nn.init(lambda block: call(block, x, first), block)
        drawn = jax.vmap(init)(jax.random.split(module.make_rng("params"), len(names)))["params"]
        for i, name in enumerate(names):
            module.param(name, lambda _, i=i: jax.tree.map(lambda p: p[i], drawn))
    own = [module.get_variable("params", name) for name in names]
    stacked = jax.tree.map(lambda *p: jnp.stack(p), *own)

    def step(x, both):
        params, one = both
        return nn.apply(lambda block: call(block, x, one), block)({"params": params})

    return jax.lax.scan(step, x, (stacked, each))


class Encoder(nn.Module):
    """f32[B, S, S, C] -> {side: f[B, side, side, width]}, the last features of each side.

    Attributes:
      blocks: `parts` of the description.
      width: features of all layers outside the blocks.
    """

    blocks: tuple[Part, ...]
    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        x = _conv(self.width, 3, self.dtype, name="input")(x)
        found, share = {}, 1 / len(self.blocks)
        for part, names in _runs(self.blocks):
            inner = self.width // _BOTTLENECK
            make = partial(Block, inner, self.width, True, share, self.dtype)
            x, _ = _in_turn(self, names, make, lambda block, x, _: (block(x), None), x)
            for _ in range(round(math.log2(part.down))):
                x = average_pool(x)
            found[x.shape[1]] = x
        return found


class LatentBlock(nn.Module):
    """One latent of the decoder: its prior, posterior and projection, and a residual block.

    Attributes:
      latent: channels of z.
      share: of the variance that what is added to x begins with.
    """

    width: int
    latent: int
    share: float
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, seen, noise, log_temperature):
        """(f[B, H, W, width], `Latent` or None).

        Args:
          x: f[B, H, W, width], features of the latents before this one.
          seen: the encoder's features of this side, or None to draw from the prior.
          noise: f32[B, H, W, latent], standard normal.
          log_temperature: f32[], added to the prior's log sigma where `seen` is None.
        """
        inner, latent = self.width // _BOTTLENECK, self.latent
        prior = Block(inner, 2 * latent + self.width, share=0.0, dtype=self.dtype, name="prior")
        said = prior(x)
        p = jnp.split(said[..., : 2 * latent].astype(jnp.float32), 2, axis=-1)
        found = None
        if seen is None:
            z = p[0] + jnp.exp(p[1] + log_temperature) * noise
        else:
            posterior = Block(inner, 2 * latent, dtype=self.dtype, name="posterior")
            q = posterior(jnp.concatenate([x, seen], -1)).astype(jnp.float32)
            q = jnp.split(q, 2, axis=-1)
            z = q[0] + jnp.exp(q[1]) * noise
            scaled = (z - p[0]) * jnp.exp(-p[1])
            ratio = q[1] - p[1] + 0.5 * (jnp.square(noise) - jnp.square(scaled))
            found = Latent(*(each.sum((1, 2, 3)) for each in (kl_of_normals(*q, *p), ratio)))
        x = x + said[..., 2 * latent :]
        x = x + _conv(self.width, 1, self.dtype, self.share, name="project")(z)
        rest = Block(inner, self.width, True, self.share, self.dtype, name="residual")
        return rest(x), found


class Decoder(nn.Module):
    """Latents from the coarsest to the finest, and the likelihood's numbers of each pixel.

    Attributes:
      blocks: `parts` of the description, coarsest first.
      width, latent: of `LatentBlock`.
      outputs: numbers of a pixel (`logistics.features`).
    """

    blocks: tuple[Part, ...]
    width: int
    latent: int
    outputs: int
    dtype: jnp.dtype = jnp.float32

    @property
    def numbers(self) -> int:
        """How many numbers the latents of a picture are, all together."""
        return self.latent * sum(part.side**2 for part in self.blocks)

    @nn.compact
    def __call__(self, noise, seen=None, log_temperature=0.0):
        """(f32[B, S, S, outputs], `Latent` or None).

        Args:
          noise: f32[B, numbers], standard normal.
          seen: the encoder's features, for samples of the posterior; None for the prior's.
          log_temperature: of the prior's samples.
        """
        features, said, start = {}, [], 0
        for side in sorted({part.side for part in self.blocks}):
            first = self.param(f"start{side}", nn.initializers.zeros, (side, side, self.width))
            shape = (len(noise), side, side, self.width)
            features[side] = jnp.broadcast_to(first.astype(self.dtype)[None], shape)
        for part, names in _runs(self.blocks):
            x = features[part.side]
            if part.mix:
                coarse = features[part.mix]
                while coarse.shape[1] < part.side:
                    coarse = nearest(coarse)
                x = x + coarse
            end = start + len(names) * part.side**2 * self.latent
            own = noise[:, start:end].reshape(len(noise), -1, part.side, part.side, self.latent)
            own = own.swapaxes(0, 1)
            share = 1 / len(self.blocks)
            make = partial(LatentBlock, self.width, self.latent, share, self.dtype)
            at = None if seen is None else seen[part.side]

            def call(block, x, noise, at=at):
                return block(x, at, noise, log_temperature)

            features[part.side], found = _in_turn(self, names, make, call, x, own)
            said.append(jax.tree.map(lambda array: array.sum(0), found))
            start = end
        x = features[self.blocks[-1].side]
        gain = self.param("gain", nn.initializers.ones, (self.width,))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        x = (
            x * gain.astype(self.dtype)[None, None, None]
            + bias.astype(self.dtype)[None, None, None]
        )
        x = _conv(self.outputs, 1, self.dtype, name="output")(x).astype(jnp.float32)
        return x, None if seen is None else Latent(*map(sum, zip(*said, strict=True)))


def networks(model, shape: tuple[int, int, int], dtype=jnp.float32) -> tuple[Encoder, Decoder]:
    """(Encoder, Decoder) for images of `shape` (H, W, C).

    Args:
      model: of the config; `width`, `latent`, `encoder`, `decoder` and `mixtures` are read.

    Raises:
      UserError: a description is none, the two do not fit each other or the pictures, or the width
        has no quarter.
    """
    height, width, channels = shape
    down, up = parts(model.encoder, "model.encoder"), parts(model.decoder, "model.decoder")
    if model.width % _BOTTLENECK:
        raise UserError(f"model.width={model.width} has to be a multiple of {_BOTTLENECK}")
    if (height, width) != (up[-1].side,) * 2 or down[0].side != height:
        raise UserError(
            f"pictures of {width}x{height} px are not those of model.encoder and model.decoder,"
            f" which begin and end with {down[0].side} and {up[-1].side} px: set data.size or these"
        )
    side, seen = height, set()
    for part in down:
        if part.side != side or part.mix:
            raise UserError(f"model.encoder: {part.name!r} cannot follow {side} px")
        side //= part.down
        seen.add(side)
    done = set()
    for part in up:
        if part.down > 1 or part.side not in seen or (part.mix and part.mix not in done):
            raise UserError(
                f"model.decoder: {part.name!r} needs the encoder's features of {part.side} px, and"
                " none but sides before it can be added"
            )
        done.add(part.side)
    outputs = logistics.features(model.mixtures, channels)
    encoder = Encoder(tuple(down), model.width, dtype)
    return encoder, Decoder(tuple(up), model.width, model.latent, outputs, dtype)
