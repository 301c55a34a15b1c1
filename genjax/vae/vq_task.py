"""The task of autoencoders whose latents are codes: VQ-VAE, and with a grid for codes, FSQ."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax import data, images
from genjax.config import choose
from genjax.nn import apply, backend, compute_type
from genjax.task import Inputs, Task
from genjax.vae import vqvae
from genjax.vae.quantizers import BOOK, CodeBook, Grid, perplexity
from genjax.vae.rows import above
from genjax.vae.update import updated

_MEASURED = 1024  # training images whose variance the loss is divided by


@flax.struct.dataclass
class VqState:
    """Everything that a resume needs.

    Attributes:
      step: i32[], steps done, without those that `train.on_nonfinite="skip"` undid.
      encoder, decoder, quantizer: their Linen variables.
      optimizer: the optax state, of all parameters.
    """

    step: jax.Array
    encoder: Any
    decoder: Any
    quantizer: Any
    optimizer: Any


def _code_book(options, axis_name):
    choose("quantizer.learned_by", options.learned_by, dict.fromkeys(("average", "loss")))
    return CodeBook(**{key: x for key, x in options.items() if key != "name"}, axis_name=axis_name)


def _grid(options, axis_name):
    return Grid(tuple(options.levels))


# {quantizer.name: (config's `quantizer`, axis_name) -> the layer}
QUANTIZERS = {"codebook": _code_book, "grid": _grid}


class Layers(NamedTuple):
    """The parts of such an autoencoder, Linen modules.

    Attributes:
      encoder, decoder: called with arrays and `train`.
      quantizer: `(axis_name) -> ` the layer.
    """

    encoder: nn.Module
    decoder: nn.Module
    quantizer: Callable


def layers(config, shape: tuple[int, ...]) -> Layers:
    """The layers of a config whose `task` is "vq", for images of `shape` (H, W, C).

    Raises:
      UserError: a name is unknown, or the networks cannot take images of this shape.
    """
    model, options = config.model, config.quantizer
    networks = choose("model.name", model.name, {"vqvae": vqvae.networks})
    quantizer = partial(choose("quantizer.name", options.name, QUANTIZERS), options)
    features = options.features if options.name == "codebook" else len(options.levels)
    return Layers(
        *networks(model, shape, features, dtype=compute_type(config.precision)), quantizer
    )


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "vq".

    Raises:
      UserError: a name is unknown, or the networks cannot take images of this shape.
    """
    shape = inputs.dataset.shape
    encoder, decoder, quantizer = layers(config, shape)
    codes = quantizer(None).codes
    optimizer = optax.adam(config.optimizer.learning_rate)

    @backend.native()
    def init(key, constants):
        key_e, key_d, key_q = jax.random.split(key, 3)
        e = encoder.init(key_e, jnp.zeros((1, *shape)), train=True)
        z = jax.eval_shape(lambda: encoder.apply(e, jnp.zeros((1, *shape)), train=False))
        z = jnp.zeros(z.shape)
        d = decoder.init(key_d, z, train=True)
        q = quantizer(None).init(key_q, z, train=True)
        params = e["params"], d["params"], q.get("params", {})
        return VqState(jnp.int32(0), e, d, q, optimizer.init(params))

    def coded(state, x, train: bool, axis_name=None):
        """(pixels f32[B, H, W, C] in [0, 1] if they are pictures, Quantized, the state)."""
        z, e = apply(encoder, state.encoder, x - 0.5, train=train)
        layer = quantizer(axis_name)
        found, q = apply(layer, state.quantizer, z, train=train, mutable=(BOOK,))
        y, d = apply(decoder, state.decoder, found.z, train=train)
        return y + 0.5, found, state.replace(encoder=e, decoder=d, quantizer=q)

    def step(state, batch, key, axis_name):
        x = images.to_float(batch["image"], low=0)

        def loss(state):
            y, found, after = coded(state, x, True, axis_name)
            error = _mean_square(x, y)
            total = (error / batch["variance"] + found.loss).mean()
            metrics = {
                "loss": total,
                "mse": error.mean(),
                "commitment": found.loss.mean(),
                "perplexity": perplexity(found.index, codes, axis_name),
            }
            return total, (metrics, after)

        return updated(state, loss, optimizer, (_params, _replace), axis_name)

    @backend.native()
    def evaluate(state, batch, key):
        x = images.to_float(batch["image"], low=0)
        y, found, _ = coded(state, x, train=False)
        error = _mean_square(x, jnp.clip(y, 0, 1))
        return {"mse": error, "psnr": -10 * jnp.log10(error), "commitment": found.loss}

    @backend.native()
    def reconstruct(state, batch, key):
        """`Task.reconstruct`."""
        return jnp.clip(coded(state, images.to_float(batch["image"], low=0), train=False)[0], 0, 1)

    @backend.native()
    def pictures(state, batch, key):
        """Rows of held-out images, each above its reconstructions."""
        y = coded(state, images.to_float(batch["image"], low=0), train=False)[0]
        return {"reconstructions": above(batch["image"], images.to_uint8(y, low=0))}

    return Task(
        init,
        step,
        images_per_step=config.train.batch_size,
        evaluate=evaluate,
        reconstruct=reconstruct,
        pictures=pictures,
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


def _mean_square(x, y):
    """f32[B], over pixels."""
    return jnp.square(x - y).reshape(len(x), -1).mean(1)


def _params(state: VqState):
    """The parameters that the optimizer updates."""
    return state.encoder["params"], state.decoder["params"], state.quantizer.get("params", {})


def _replace(state: VqState, params) -> VqState:
    """`state` with other values of `_params(state)`."""
    encoder, decoder, quantizer = params
    return state.replace(
        encoder=state.encoder | {"params": encoder},
        decoder=state.decoder | {"params": decoder},
        quantizer=state.quantizer | ({"params": quantizer} if quantizer else {}),
    )
