"""Autoencoders whose latents are codes: their layers, their state, and what is shown of them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from genjax import images
from genjax.config import choose
from genjax.errors import UserError
from genjax.nn import apply, backend, compute_type
from genjax.vae import vqgan, vqvae
from genjax.vae.quantizers import BOOK, REVIVE, SPREADS, CodeBook, Grid
from genjax.vae.rows import above


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
    choose("quantizer.spread", options.get("spread", "fan_in"), SPREADS)
    if options.revive and options.learned_by == "loss":
        raise UserError(
            "quantizer.revive counts by running means: set quantizer.learned_by=average or"
            " quantizer.revive=0"
        )
    return CodeBook(**{key: x for key, x in options.items() if key != "name"}, axis_name=axis_name)


def _grid(options, axis_name):
    return Grid(tuple(options.levels))


# {quantizer.name: (config's `quantizer`, axis_name) -> the layer}
QUANTIZERS = {"codebook": _code_book, "grid": _grid}


class Layers(NamedTuple):
    """The parts of such an autoencoder, Linen modules.

    Attributes:
      encoder: `(x f32[B, H, W, C] in [-1/2, 1/2], train) -> f32[B, h, w, D]`.
      decoder: `(codes' vectors f32[B, h, w, D], train) -> ` pictures as the encoder takes them.
      quantizer: `(axis_name) -> ` the layer.
    """

    encoder: nn.Module
    decoder: nn.Module
    quantizer: Callable

    def init(self, key, shape: tuple[int, ...]):
        """The first variables of encoder, decoder and quantizer, of images of `shape`."""
        key_e, key_d, key_q = jax.random.split(key, 3)
        x = jnp.zeros((1, *shape))
        e = self.encoder.init(key_e, x, train=True)
        z = jax.eval_shape(lambda: self.encoder.apply(e, x, train=False))
        z = jnp.zeros(z.shape)
        d = self.decoder.init(key_d, z, train=True)
        return e, d, self.quantizer(None).init(key_q, z, train=True)

    def encoded(self, state: VqState, x, train: bool, axis_name=None, key=None):
        """(Quantized, the state) of pixels f32[B, H, W, C] in [0, 1].

        Args:
          key: in training, of what dead codes become.
        """
        z, e = apply(self.encoder, state.encoder, x - 0.5, train=train)
        layer = self.quantizer(axis_name)
        random = {REVIVE: key}
        found, q = apply(layer, state.quantizer, z, train=train, mutable=(BOOK,), rngs=random)
        return found, state.replace(encoder=e, quantizer=q)

    def coded(self, state: VqState, x, train: bool, axis_name=None, key=None):
        """(pixels f32[B, H, W, C] in [0, 1] if they are pictures, Quantized, the state); the
        arguments are those of `encoded`."""
        found, state = self.encoded(state, x, train, axis_name, key)
        y, d = apply(self.decoder, state.decoder, found.z, train=train)
        return y + 0.5, found, state.replace(decoder=d)

    @backend.native()
    def evaluate(self, state: VqState, batch, key):
        """`Task.evaluate`: errors of pixels in [0, 1], and what the quantizer costs."""
        x = images.to_float(batch["image"], low=0)
        y, found, _ = self.coded(state, x, train=False)
        error = mean_square(x, jnp.clip(y, 0, 1))
        return {"mse": error, "psnr": -10 * jnp.log10(error), "commitment": found.loss}

    @backend.native()
    def reconstruct(self, state: VqState, batch, key):
        """`Task.reconstruct`."""
        x = images.to_float(batch["image"], low=0)
        return jnp.clip(self.coded(state, x, train=False)[0], 0, 1)

    @backend.native()
    def code(self, state: VqState, batch, key):
        """`Task.code`: row by row."""
        found, _ = self.encoded(state, images.to_float(batch["image"], low=0), train=False)
        return found.index.reshape(len(found.index), -1)

    @backend.native()
    def pictures(self, state: VqState, batch, key):
        """`Task.pictures`: rows of held-out images, each above its reconstructions."""
        y = self.coded(state, images.to_float(batch["image"], low=0), train=False)[0]
        return {"reconstructions": above(batch["image"], images.to_uint8(y, low=0))}


# {model.name: (config's `model`, image shape, features of a code, dtype) -> (encoder, decoder)}
NETWORKS = {"vqvae": vqvae.networks, "vqgan": vqgan.networks}


def layers(config, shape: tuple[int, ...]) -> Layers:
    """The layers of a config whose `task` is "vq" or "vqgan", for images of `shape` (H, W, C).

    Raises:
      UserError: a name is unknown, or the networks cannot take images of this shape.
    """
    model, options = config.model, config.quantizer
    networks = choose("model.name", model.name, NETWORKS)
    quantizer = partial(choose("quantizer.name", options.name, QUANTIZERS), options)
    features = options.features if options.name == "codebook" else len(options.levels)
    return Layers(
        *networks(model, shape, features, dtype=compute_type(config.precision)), quantizer
    )


def mean_square(x, y):
    """f32[B], over pixels."""
    return jnp.square(x - y).reshape(len(x), -1).mean(1)


def params_of(state: VqState):
    """The parameters that the optimizer updates."""
    return state.encoder["params"], state.decoder["params"], state.quantizer.get("params", {})


def replaced(state: VqState, params) -> VqState:
    """`state` with other values of `params_of(state)`."""
    encoder, decoder, quantizer = params
    return state.replace(
        encoder=state.encoder | {"params": encoder},
        decoder=state.decoder | {"params": decoder},
        quantizer=state.quantizer | ({"params": quantizer} if quantizer else {}),
    )
