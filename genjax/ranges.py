"""The range of each number in a config, which is checked before anything is compiled.

A range that depends on other values (data sets, layers, devices) is checked where those are known.
"""

from collections.abc import Callable
from typing import NamedTuple

# Pixels a side. For a square of this size, the output of VGG's first layer takes 69 GB.
LARGEST_SIDE = 2**14


class Range(NamedTuple):
    """What a number may be; of a tuple, each of its numbers.

    Attributes:
      what: how a message says it, after "has to be".
      holds: whether a number is in it.
    """

    what: str
    holds: Callable[[float], bool]


COUNT = Range("at least 1", lambda x: x >= 1)
NOT_NEGATIVE = Range("at least 0", lambda x: x >= 0)
POSITIVE = Range("more than 0", lambda x: x > 0)
SHARE = Range("from 0 to 1", lambda x: 0 <= x <= 1)
DECAY = Range("at least 0 and less than 1", lambda x: 0 <= x < 1)
SEED = Range("from 0 to 2**32 - 1", lambda x: 0 <= x < 2**32)
LABEL = Range("at least -1", lambda x: x >= -1)
_SIDE_OR_OWN = Range(f"from 0 to {LARGEST_SIDE} px", lambda x: 0 <= x <= LARGEST_SIDE)
SIDE = Range(f"at most {LARGEST_SIDE} px", lambda x: x <= LARGEST_SIDE)
# Layers double it, and count in 32 bits.
FEATURES = Range("from 1 to 2**16", lambda x: 1 <= x <= 2**16)

# {dotted key: its range}; that of a group holds for all in it.
RANGES = {
    # Of every experiment: `genjax.config.base`, and what all families call by one name.
    "seed": SEED,
    "train.steps": COUNT,
    "train.steps_per_call": COUNT,
    "train.max_skipped": NOT_NEGATIVE,
    "train.batch_size": COUNT,
    "log.every": NOT_NEGATIVE,
    "sample.every": NOT_NEGATIVE,
    "sample.n": COUNT,
    "sample.seed": SEED,
    "sample.threshold": NOT_NEGATIVE,
    "sample.temperature": POSITIVE,
    "sample.shown": COUNT,
    "sample.stops": Range("at least 2", lambda x: x >= 2),
    "sample.frames": COUNT,
    "sample.steps": COUNT,
    "evaluate.every": NOT_NEGATIVE,
    "checkpoint.every": NOT_NEGATIVE,
    "checkpoint.keep": COUNT,
    "profile.steps": COUNT,
    "score.n": COUNT,
    "score.every": NOT_NEGATIVE,
    "score.few": COUNT,
    "data.size": SIDE,
    "data.classes": NOT_NEGATIVE,
    "data.validation": NOT_NEGATIVE,
    "data.resident_limit_mb": NOT_NEGATIVE,
    "optimizer.learning_rate": POSITIVE,
    "optimizer.b1": DECAY,
    "optimizer.b2": DECAY,
    "model.width": FEATURES,
    "model.latent": COUNT,
    # Of VAEs.
    "bound.k": COUNT,
    "bound.beta": NOT_NEGATIVE,
    "bound.warmup": NOT_NEGATIVE,
    "bound.capacity": NOT_NEGATIVE,
    "bound.free_bits": NOT_NEGATIVE,
    "bound.total_correlation": NOT_NEGATIVE,
    "discriminator.width": FEATURES,
    "discriminator.layers": COUNT,
    "discriminator.learning_rate": POSITIVE,
    "discriminator.b1": DECAY,
    "discriminator.b2": DECAY,
    "optimizer.epsilon": POSITIVE,
    "optimizer.drops.steps": COUNT,
    "optimizer.drops.factors": POSITIVE,
    "score.k": COUNT,
    "model.mixtures": COUNT,
    "input.mean": NOT_NEGATIVE,
    "input.deviation": POSITIVE,
    "optimizer.warmup": NOT_NEGATIVE,
    "optimizer.clip": POSITIVE,
    "optimizer.skip": POSITIVE,
    "ema.decay": DECAY,
    "model.inner": FEATURES,
    "model.layers": COUNT,
    "model.heads": COUNT,
    "quantizer.codes": COUNT,
    "quantizer.features": FEATURES,
    "quantizer.levels": Range("at least 2", lambda x: x >= 2),
    "quantizer.beta": NOT_NEGATIVE,
    "quantizer.decay": DECAY,
    "quantizer.epsilon": POSITIVE,
    "quantizer.revive": DECAY,
    "model.multipliers": COUNT,
    "model.attention": COUNT,
    "perceptual.weight": NOT_NEGATIVE,
    "adversarial.weight": NOT_NEGATIVE,
    "adversarial.start": NOT_NEGATIVE,
    # Of GANs.
    "n_dis": COUNT,
    "generator_batch": COUNT,
    "accumulate": COUNT,
    "augment.p": SHARE,
    "augment.target": SHARE,
    "augment.interval": COUNT,
    "augment.images": COUNT,
    "sample.psi": NOT_NEGATIVE,
    "sample.label": LABEL,
    "sample.standing": NOT_NEGATIVE,
    "clip": NOT_NEGATIVE,
    "consistency.real": NOT_NEGATIVE,
    "consistency.fake": NOT_NEGATIVE,
    "consistency.z_discriminator": NOT_NEGATIVE,
    "consistency.z_generator": NOT_NEGATIVE,
    "consistency.z_noise": NOT_NEGATIVE,
    "ema.half_life": NOT_NEGATIVE,
    "ema.ramp": NOT_NEGATIVE,
    "lecam.weight": NOT_NEGATIVE,
    "lecam.decay": DECAY,
    "lecam.start": NOT_NEGATIVE,
    "optimizer.discriminator_factor": POSITIVE,
    "optimizer.linear_decay": NOT_NEGATIVE,
    "orthogonal": NOT_NEGATIVE,
    "path_length.weight": NOT_NEGATIVE,
    "path_length.interval": COUNT,
    "path_length.decay": DECAY,
    "regularizer.weight": NOT_NEGATIVE,
    "regularizer.interval": COUNT,
    "rotation.discriminator": NOT_NEGATIVE,
    "rotation.generator": NOT_NEGATIVE,
    "schedule.images": COUNT,
    "model.base": COUNT,
    "model.blocks": COUNT,
    "model.embedding": COUNT,
    "model.group": COUNT,
    "model.groups": COUNT,
    "model.mapping": COUNT,
    "model.mixing": SHARE,
    "model.shared": COUNT,
    "model.style": COUNT,
    "model.widths": FEATURES,
    # Of VAEs.
    "model.hidden": COUNT,
    "model.flows": FEATURES,
    "model.upper": FEATURES,
    "model.pseudo_inputs": COUNT,
    # Of classifiers.
    "label_smoothing": DECAY,
    "optimizer.bias_rate": POSITIVE,
    "optimizer.decay_steps": COUNT,
    "optimizer.dense_rate": POSITIVE,
    "optimizer.momentum": DECAY,
    "optimizer.sgd_momentum": DECAY,
    "optimizer.weight_decay": NOT_NEGATIVE,
    # Of style transfer.
    "size": SIDE,
    "crop": _SIDE_OR_OWN,
    "optimizer.decay": NOT_NEGATIVE,
    "model.matrix": COUNT,
    "content_share": SHARE,
    "init_noise": NOT_NEGATIVE,
    "tv_weight": NOT_NEGATIVE,
    "style_scale": POSITIVE,
    "scales.smallest": NOT_NEGATIVE,
    "scales.steps": COUNT,
    "features.trunk_scale": POSITIVE,
    "content_loss.weight": NOT_NEGATIVE,
    "content_loss.scale": POSITIVE,
    "style_loss.weight": NOT_NEGATIVE,
    "style_loss.weights": NOT_NEGATIVE,
    "style_loss.scale": POSITIVE,
    "optimizer.memory": COUNT,
    "optimizer.average": DECAY,
    "video.weight": NOT_NEGATIVE,
    "video.back": COUNT,
    "video.steps": COUNT,
    "video.frames": NOT_NEGATIVE,
    "video.reach": COUNT,
    "video.mix": NOT_NEGATIVE,
    "stylize.weights": NOT_NEGATIVE,
    "stylize.alpha": SHARE,
    "stylize.size": _SIDE_OR_OWN,
    "stylize.style_size": _SIDE_OR_OWN,
    "stylize.batch": COUNT,
}


def of(key: str) -> Range | None:
    """The range of a dotted key, or else of the group that it is in; None if neither has one."""
    while key not in RANGES and key:
        key = key.rpartition(".")[0]
    return RANGES.get(key)
