"""What a GAN's training step works on: the state that it changes, and all that it does not."""

import enum
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from genjax.gan import adaptive, consistency, lecam
from genjax.gan.augment import Augment
from genjax.gan.losses import Loss, realness


@flax.struct.dataclass
class GanState:
    """Everything that a resume needs.

    Attributes:
      step: i32[], steps done, without those that `train.on_nonfinite="skip"` undid.
      generator, discriminator: their Linen variables: `params` and, if the network has them,
        `batch_stats` and `spectral` (the vectors of spectral norms).
      average: exponential moving average of the generator's variables, BatchNorm's running
        statistics included; samples are drawn with it.
      generator_optimizer, discriminator_optimizer: their optax states.
      memory: {name: f32[]}, what regularisers and augmentations remember (`Gan.memory`).
    """

    step: jax.Array
    generator: Any
    discriminator: Any
    average: Any
    generator_optimizer: Any
    discriminator_optimizer: Any
    memory: dict[str, jax.Array] = flax.struct.field(default_factory=dict)


class Lengths(NamedTuple):
    """Of StyleGAN2's path-length penalty: its weight, the steps from one update to the next,
    and the decay of the mean length in each."""

    weight: float
    interval: int
    decay: float


class Gan(NamedTuple):
    """The networks, losses and options of a training step, which training does not change.

    Options that are off are None or 0, and add no operation to a step.

    Attributes:
      config: of the run; `n_dis`, `own_batch`, `generator_batch`, `dequantize`, `model.latent`,
        `train.batch_size`, `augment.p`, `regularizer` and `ema` are read.
      G: the generator, `(z f32[B, latent], label i32[B], train) -> images f32[B, H, W, C]` in
        [-1, 1]; in training it may draw from Linen's random stream `noise`.
      D: the discriminator, `(images, label, train) -> logits f32[B]`, or a tuple that begins with
        them.
      discriminator_f32: D in float32 whatever `precision` is, for the regularizer.
      loss: those of G and D.
      regularizer: of D (`genjax.gan.regularizers`), or None.
      g_optimizer, d_optimizer: of their parameters.
      scheduled: {key: images seen -> its value} of what changes (`genjax.gan.schedules`).
      augment: what images pass before D sees them (`genjax.gan.augment`).
      target: what ADA's strength is steered to.
      lecam, consistency: penalties of D (modules of those names).
      rotation: the factors of D's and of G's rotation loss, if D has a head for it.
      lengths: of the penalty of path lengths, or None. G then has a function `path_length`,
        `(variables, z, label, key, mean, decay, axis_name) -> (penalty f32[], mean f32[])`, of
        which the mean of path lengths is remembered.
      clip: D's parameters end an update in [-clip, clip].
      orthogonal: factor of the orthogonal regularisation of G.
      axis_name: the mapped axis if a step sees one device's shard; None for the global batch.
    """

    config: ConfigDict
    G: nn.Module
    D: nn.Module
    discriminator_f32: nn.Module
    loss: Loss
    regularizer: Callable | None
    g_optimizer: optax.GradientTransformation
    d_optimizer: optax.GradientTransformation
    scheduled: Mapping[str, Callable]
    augment: Augment | None
    target: adaptive.Target | None
    lecam: lecam.LeCam | None
    consistency: consistency.Consistency | None
    rotation: tuple[float, float] | None
    lengths: Lengths | None
    clip: float
    orthogonal: float
    axis_name: str | None

    @property
    def memory(self) -> dict[str, jax.Array]:
        """What is remembered before the first step."""
        memory = lecam.initial() if self.lecam else {}
        if self.target:
            memory |= adaptive.initial(self.config.augment.p)
        if self.lengths:
            memory |= {"path_length": jnp.zeros(())}
        return memory

    def value(self, key: str, step):
        """That of a key of the config at a step, i32[]: a number, or f32[] where it changes."""
        if key in self.scheduled:
            return self.scheduled[key](step * jnp.float32(self.config.train.batch_size))
        group, _, name = key.partition(".")
        return self.config[group][name]

    def seen(self, images, key, use: "Use", memory, step):
        """Images as D sees them: augmented with random numbers of this use."""
        if not self.augment:
            return images
        p = memory["augment_p"] if self.target else self.value("augment.p", step)
        return self.augment(images, key_of(key, use), p, self.axis_name)

    def scored(self, answer):
        """What the losses take: D's answer, without a head that is not for them."""
        return realness(answer) if self.rotation else answer


class Discriminator(NamedTuple):
    """What an update of D changes, with the names of `GanState`."""

    variables: Any
    optimizer: Any
    memory: dict[str, jax.Array]


class Use(enum.IntEnum):
    """What a key that an update was given is split for. A result depends on these numbers."""

    REAL = 0
    FAKE = 1
    PENALTY = 2
    ROTATED_REAL = 3
    GENERATOR = 4
    GENERATOR_REAL = 5
    ROTATED_FAKE = 6
    CONSISTENCY = 7
    NEAR = 8
    PATH_LENGTH = 9
    NOISE = 10


def key_of(key, use: Use):
    """The key of one use of an update's own, whose examples have the numbers from 0 on."""
    return jax.random.fold_in(jax.random.fold_in(key, 2**32 - 1), int(use))
