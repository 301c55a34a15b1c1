"""The task of a prior over codes: a causal transformer learns the codes of a trained autoencoder.

The second stage of VQ-VAE (van den Oord et al. 2017, arXiv:1711.00937, section 3.3), with a
transformer for the PixelCNN, as in VQ-GAN (Esser et al. 2021, arXiv:2012.09841). The codes of a
picture are one sequence, row by row, after a token for its class.
"""

import json
import math
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from genjax import images, rng
from genjax.devices import gather_params
from genjax.errors import UserError
from genjax.nn import backend, compute_type, updated
from genjax.task import Inputs, Task
from genjax.vae import coded, transformer
from genjax.workdir import at_step, config_file, known_data, restore_arrays


@flax.struct.dataclass
class PriorState:
    """Everything that a resume and sampling need.

    Attributes:
      step: i32[], steps done, without those that `train.on_nonfinite="skip"` undid.
      prior: the transformer's Linen variables.
      autoencoder: {"encoder", "decoder", "quantizer": variables}, which no step changes. They are
        kept here so that another checkpoint of their run makes no other prior.
      optimizer: the optax state.
    """

    step: jax.Array
    prior: Any
    autoencoder: Any
    optimizer: Any


class Autoencoder(NamedTuple):
    """The layers of a trained run of `genjax.vae.coded`, to be used with `PriorState.autoencoder`.

    Attributes:
      config: of that run.
    """

    config: ConfigDict
    layers: coded.Layers

    def empty(self, shape):
        """Variables for pictures of `shape` (H, W, C), all noughts."""
        e, d, q = jax.eval_shape(lambda: self.layers.init(jax.random.key(0), shape))
        parts = {"encoder": e, "decoder": d, "quantizer": q}
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), parts)

    def codes(self, variables, image):
        """i32[B, N] of u8[B, H, W, C], row by row."""
        x = images.to_float(image, low=0)
        z = self.layers.encoder.apply(variables["encoder"], x - 0.5, train=False)
        found = self.layers.quantizer(None).apply(variables["quantizer"], z, train=False)
        return found.index.reshape(len(x), -1)

    def decoded(self, variables, codes):
        """u8[B, H, W, C] of i32[B, h, w]."""
        quantizer = self.layers.quantizer(None)
        z = quantizer.apply(variables["quantizer"], codes, method="vectors")
        y = self.layers.decoder.apply(variables["decoder"], z, train=False)
        return images.to_uint8(y + 0.5, low=0)


def autoencoder_of(config: ConfigDict, shape: tuple[int, ...], precision: str) -> Autoencoder:
    """The autoencoder of a run's config, for pictures of `shape` (H, W, C)."""
    with config.unlocked():
        config.precision = precision
    return Autoencoder(config, coded.layers(config, shape))


def read_config(name: str, shape: tuple[int, ...]) -> ConfigDict:
    """The config of `codes.run`, `WORKDIR` or `WORKDIR@STEP`.

    Raises:
      UserError: there is no such run, it has no codes, or its pictures are not of this shape.
    """
    if not name:
        raise UserError(
            "codes.run is empty: name a run of configs/vqvae.py or configs/fsq.py, such as"
            " --config.codes.run=runs/vqvae"
        )
    folder, _ = at_step.split(name)
    if not (folder / "config.json").exists():
        raise UserError(
            f"codes.run={name}: there is no run: train one with --config=configs/vqvae.py"
            f" --workdir={folder}, or set codes.run to where it is now"
        )
    config = config_file.load(folder)
    if "quantizer" not in config:
        raise UserError(
            f"codes.run={name} is a run of task={config.task!r}, which has no codes: name one of"
            " configs/vqvae.py or configs/fsq.py"
        )
    known = known_data.load(folder)
    if known is not None and tuple(known.shape) != tuple(shape):
        raise UserError(
            f"codes.run={name} is of pictures {_form(known.shape)}, and the data here of"
            f" {_form(shape)}: set data.name, data.size and data.channels as they are there"
        )
    return config


def read_arrays(name: str) -> dict[str, Any]:
    """The variables of `codes.run`, as of `PriorState.autoencoder`.

    Raises:
      UserError: there is no such checkpoint.
    """
    folder, step = at_step.split(name)
    steps = at_step.steps_of(folder, step)
    # A grid has no variables.
    return restore_arrays(folder, steps, ("encoder", "decoder"), ("quantizer",))


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "codes".

    Raises:
      UserError: as `read_config`, or the heads do not divide the width.
    """
    model, shape = config.model, inputs.dataset.shape
    known = inputs.known
    there = config_file.of_values(known) if known else read_config(config.codes.run, shape)
    autoencoder = autoencoder_of(there, shape, config.precision)
    if model.width % model.heads:
        raise UserError(
            f"model.heads={model.heads} does not divide model.width={model.width}: set another"
        )
    places = jax.eval_shape(
        autoencoder.layers.encoder.apply,
        autoencoder.empty(shape)["encoder"],
        jnp.zeros((1, *shape)),
        train=False,
    ).shape[1:3]
    classes = inputs.dataset.classes if inputs.dataset.classes > 1 else 0
    network = transformer.CausalTransformer(
        codes=autoencoder.layers.quantizer(None).codes,
        starts=max(1, classes),
        length=math.prod(places),
        width=model.width,
        layers=model.layers,
        heads=model.heads,
        dtype=compute_type(config.precision),
    )
    optimizer = optax.adam(config.optimizer.learning_rate)

    @backend.native()
    def init(key, constants):
        prior = network.init(key, jnp.zeros((1, 1), jnp.int32), network.empty(1), 0)
        frozen = autoencoder.empty(shape)
        return PriorState(jnp.int32(0), prior, frozen, optimizer.init(prior["params"]))

    def nats_of(state, batch):
        """f32[B, N], -log p of each code."""
        codes = autoencoder.codes(gather_params(state.autoencoder), batch["image"])
        start = batch["label"] % max(1, classes)
        log_p = jax.nn.log_softmax(transformer.logits(network, state.prior, start, codes))
        return -jnp.take_along_axis(log_p, codes[..., None], axis=2)[..., 0]

    def metrics_of(nats):
        return {"bits_per_code": nats.mean(1) / math.log(2), "nll": nats.sum(1)}

    def step(state, batch, key, axis_name):
        def loss(state):
            nats = nats_of(state, batch)
            return nats.mean(), ({"loss": nats.mean()} | _means(metrics_of(nats)), state)

        return updated(state, loss, optimizer, (_params, _replace), axis_name)

    @backend.native()
    def evaluate(state, batch, key):
        """`nll` is -log p of a picture's codes in nats; `bits_per_code`, of each in the mean."""
        return metrics_of(nats_of(state, batch))

    def sample(state, key, index):
        keys, start = rng.example_keys(key, index), index % max(1, classes)
        codes = transformer.sampled(network, state.prior, start, keys, config.sample.temperature)
        return autoencoder.decoded(state.autoencoder, codes.reshape(-1, *places))

    return Task(
        init,
        step,
        config.train.batch_size,
        evaluate=evaluate,
        sample=sample,
        classes=classes,
        sampled_with={"parameters": "raw"},
        copied=lambda: {"autoencoder": read_arrays(config.codes.run)},
        known=json.loads(autoencoder.config.to_json()),
        networks=("prior",),
        notes={"codes": f"{network.codes} codes, {network.length} a picture, {config.codes.run}"},
    )


def _means(metrics):
    return jax.tree.map(jnp.mean, metrics)


def _form(shape) -> str:
    return "x".join(map(str, shape))


def _params(state: PriorState):
    return state.prior["params"]


def _replace(state: PriorState, params) -> PriorState:
    return state.replace(prior=state.prior | {"params": params})
