"""The task of autoencoders whose latents are codes: VQ-VAE, and with a grid for codes, FSQ."""

import jax.numpy as jnp
import numpy as np
import optax

from genjax import data, images
from genjax.nn import backend, updated
from genjax.task import Inputs, Task
from genjax.vae import coded
from genjax.vae.coded import VqState, mean_square, params_of, replaced
from genjax.vae.quantizers import perplexity

_MEASURED = 1024  # training images whose variance the loss is divided by


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "vq".

    Raises:
      UserError: a name is unknown, or the networks cannot take images of this shape.
    """
    shape = inputs.dataset.shape
    layers = coded.layers(config, shape)
    codes = layers.quantizer(None).codes
    optimizer = optax.adam(config.optimizer.learning_rate)

    @backend.native()
    def init(key, constants):
        state = VqState(jnp.int32(0), *layers.init(key, shape), None)
        return state.replace(optimizer=optimizer.init(params_of(state)))

    def step(state, batch, key, axis_name):
        x = images.to_float(batch["image"], low=0)

        def loss(state):
            y, found, after = layers.coded(state, x, True, axis_name, key)
            error = mean_square(x, y)
            total = (error / batch["variance"] + found.loss).mean()
            metrics = {
                "loss": total,
                "mse": error.mean(),
                "commitment": found.loss.mean(),
                "perplexity": perplexity(found.index, codes, axis_name),
            }
            return total, (metrics, after)

        return updated(state, loss, optimizer, (params_of, replaced), axis_name)

    return Task(
        init,
        step,
        images_per_step=config.train.batch_size,
        evaluate=layers.evaluate,
        reconstruct=layers.reconstruct,
        code=layers.code,
        codes=codes,
        pictures=layers.pictures,
        constants={"variance": _variance(inputs.dataset.train)},
        networks=("encoder", "decoder", "quantizer"),
    )


def _variance(split) -> np.float32:
    """Of the training images' pixels in [0, 1], so that the loss does not depend on contrast; 1
    where they were not opened, as where nothing trains."""
    if split is None:
        return np.float32(1)
    shown = data.examples(split, min(_MEASURED, len(split)))["image"]
    return np.float32(max((shown / 255).var(), 1e-6))
