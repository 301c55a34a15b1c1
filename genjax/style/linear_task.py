"""The task of a learned linear transform (`genjax.style.linear`), with another run's decoder.

Li et al. 2019 (arXiv:1808.04537), with the losses of the authors' LinearStyleTransfer. Encoder and
decoder stay as they are, so that the transform alone brings the style.
"""

import jax.numpy as jnp

from genjax.nn import compute_type
from genjax.style import decoders, linear, painting
from genjax.style import encoder as encoders
from genjax.style.adain_task import VARIANTS, sum_of_squares
from genjax.style.losses import gram, mean_squared_error
from genjax.style.transforms import whitening
from genjax.task import Inputs, Task


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "style_linear".

    Raises:
      UserError: `decoder.run` is no run of configs/style_adain.py with this encoder; or as
        `painting.build`.
    """
    if not inputs.known:
        decoders.check(config)
    encoder = encoders.load(config, config.features.judged)
    network = linear.LinearTransform(
        encoder.channels, config.model.matrix, compute_type(config.precision)
    )
    last = encoder.taps[-1]

    def style_error(ours, theirs):
        means = (x.astype(jnp.float32).mean(axis=(1, 2)) for x in (ours, theirs))
        grams = (gram(x, "chw").reshape(len(x), -1) for x in (ours, theirs))
        return sum_of_squares(*means) + sum_of_squares(*grams)

    def losses(found, content, style, target):
        error = sum(style_error(found[tap], style[tap]) for tap in encoder.taps)
        return {
            "content": config.content_loss.weight * mean_squared_error(found[last], content[last]),
            "style": config.style_loss.weight * error,
        }

    def init(key):
        code = jnp.zeros((1, 4, 4, encoder.channels))
        return network.init(key, code, code)

    transforms = {
        "linear": linear.learned(network),
        "wct": whitening(),
        "adain": VARIANTS["pytorch"].transform,
    }
    method = painting.Method(transforms, "transform", losses, init)
    task = painting.build(config, inputs, encoder, method)
    return task._replace(
        copied=lambda: {decoders.FIELD: decoders.load(config.decoder.run)},
        known={"decoder": config.decoder.run},
        notes={**task.notes, "decoder": config.decoder.run},
    )
