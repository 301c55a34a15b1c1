"""Our side of a parity check: ten steps of the program that the loop runs, and what they saw."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict

from genjax import data, images, rng, runs
from genjax.cnn import features
from genjax.cnn.task import classifier
from genjax.data.augment import augment
from genjax.errors import UserError
from genjax.gan import task as gan
from genjax.steps import Steps
from genjax.vae import task as vae
from genjax.vae.binarize import BINARIZE

STEPS = 10


class Account(NamedTuple):
    """What is compared.

    Attributes:
      outputs: {network: array}.
      gradients: {network: {parameter: array}}, up to a factor.
      losses: {name: [STEPS]}.
    """

    outputs: dict[str, np.ndarray]
    gradients: dict[str, dict[str, np.ndarray]]
    losses: dict[str, np.ndarray]


class Trace(NamedTuple):
    """Our side of it, with all that the peer needs to go the same way.

    Attributes:
      account: what is compared.
      states: before each step and after the last, as numpy arrays; all of them for style, which has
        no batches, else the first alone.
      batches, noises: numpy arrays, of each step.
    """

    account: Account
    states: list
    batches: list[dict[str, np.ndarray]]
    noises: list[dict[str, np.ndarray]]


def record(config) -> tuple[runs.Run, Trace]:
    """Ten steps of a config, from its initial state, on random pixels in the place of its images.

    In the flat parts of real pictures maximum pooling has ties, where its gradient is anyone's
    choice; and sums over thousands of equal numbers round one way: PyTorch's BatchNorm loses four
    digits on the digits' black.

    Raises:
      UserError: the config is wrong, or of another precision.
    """
    if config.precision != "float32":
        raise UserError(f"precision={config.precision}: parity is of float32")
    # A GPU's default rounds the factors of products to TF32.
    with jax.default_matmul_precision("highest"):
        run = runs.build(config)
        return run, _trace(run)


def _trace(run: runs.Run) -> Trace:
    config, devices, family = run.config, run.devices, _OURS[run.config.task]
    key = rng.stream(config.seed, rng.Stream.INIT)
    state = devices.init(run.task.init, key, run.task.constants)
    feed = None
    if run.dataset:
        rows = np.arange(run.task.images_per_step)
        feed = data.Resident(run.dataset.train, len(rows), rows, config.seed)
        shape = feed.arrays["image"].shape
        feed.arrays["image"] = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    states, batches, noises = [jax.device_get(state)], [], []
    outputs = family.outputs
    metrics, gradients = [], None
    state = devices.from_global(state)
    steps = Steps(run, feed, state)
    for t in range(STEPS):
        key = jax.random.fold_in(rng.stream(config.seed, rng.Stream.STEP), t)
        if feed:
            batches.append(_batch(config, feed, t))
            noises.append(jax.device_get(family.noise(config, batches[-1], key)))
        state, values = steps(state, steps.inputs(t, 1), t, 1)
        metrics.append({name: float(x[0]) for name, x in values.items()})
        if config.task == "style" or gradients is None:
            states.append(jax.device_get(devices.to_global(state)))
        gradients = gradients or family.gradients(states)
    first = (batches[0], noises[0]) if feed else ({}, {})
    account = Account(
        jax.device_get(outputs(run, states[0], *first)),
        gradients,
        {k: np.array([x[k] for x in metrics]) for k in family.losses if k in metrics[0]},
    )
    return Trace(account, states, batches, noises)


def _batch(config, feed, step: int) -> dict[str, np.ndarray]:
    """The batch of a step as `step_function` hands it to the task."""
    key = jax.random.fold_in(rng.stream(config.seed, rng.Stream.AUGMENT), step)
    inputs = {name: x[0] for name, x in feed.chunk(step, 1).items()}
    batch = data.select(feed.arrays, inputs)
    return jax.device_get(augment(batch, key, config.data.flip, config.data.shift))


class Ours(NamedTuple):
    """What of a family is compared: as the task does it, with its own names.

    Attributes:
      noise: `(config, batch, key of the step) -> {name: array}`, what the task's step draws.
      outputs: `(run, state, batch, noise) -> {network: array}`.
      gradients: `(states, the first and the one after a step) -> {network: {parameter: array}}`.
      losses: the names of metrics; some tasks have not all.
    """

    noise: Callable[..., dict[str, Any]]
    outputs: Callable[..., dict[str, Any]]
    gradients: Callable[..., dict[str, dict[str, np.ndarray]]]
    losses: tuple[str, ...]


def _moments(optimizer_state) -> dict[str, np.ndarray]:
    return flatten_dict(optax.tree.get(optimizer_state, "mu"), sep="/")


def _apply(network, variables, *inputs):
    """In training mode: with the statistics of the batch."""
    answer, _ = jax.jit(partial(network.apply, train=True, mutable=True))(variables, *inputs)
    return answer


def _gan_noise(config, batch, key):
    n, latent = config.train.batch_size, config.model.latent
    key_z, key_real, key_penalty, key_earlier = jax.random.split(key, 4)
    earlier = [
        jax.random.split(jax.random.fold_in(key_earlier, i)) for i in range(config.n_dis - 1)
    ]
    noise = {"z": rng.normal(key_z, config.generator_batch * n, (latent,))}
    noise["earlier_z"] = jnp.array([rng.normal(k, n, (latent,)) for k, _ in earlier])
    if config.dequantize:
        noise["uniform"] = rng.uniform(key_real, len(batch["image"]), batch["image"].shape[1:])
    if config.regularizer.name == "gradient_penalty":
        keys = [*(k for _, k in earlier), key_penalty]
        noise["alpha"] = jnp.stack([rng.uniform(k, n, ()) for k in keys])
    return noise


def _gan_outputs(run, state, batch, noise):
    model = run.config.model
    generator, discriminator = gan.NETWORKS[model.name](model, run.dataset.shape)
    fake = _apply(generator, state.generator, noise["z"])
    real = images.to_float(jnp.asarray(batch["image"]), low=-1)
    logits = [_apply(discriminator, state.discriminator, x) for x in (real, fake)]
    return {"generator": fake, "discriminator": jnp.concatenate(logits)}


def _gan_gradients(states):
    return {
        "generator": _moments(states[1].generator_optimizer),
        "discriminator": _moments(states[1].discriminator_optimizer),
    }


def _vae_noise(config, batch, key):
    key_x, key_z = jax.random.split(key)
    shape = batch["image"].shape
    noise = {"z": rng.normal(key_z, shape[0], (config.model.latent,))}
    if config.binarize == "dynamic":
        noise["uniform"] = rng.uniform(key_x, shape[0], shape[1:])
    if config.binarize == "static":
        fixed = rng.stream(0, rng.Stream.BINARIZE)
        noise["uniform"] = jnp.stack(
            [jax.random.uniform(jax.random.fold_in(fixed, i), shape[1:]) for i in batch["index"]]
        )
    return noise


def _vae_outputs(run, state, batch, noise):
    model, config = run.config.model, run.config
    encoder, decoder = vae.NETWORKS[model.name](model, run.dataset.shape)
    key_x, _ = jax.random.split(jax.random.fold_in(rng.stream(config.seed, rng.Stream.STEP), 0))
    x = BINARIZE[config.binarize]({k: jnp.asarray(v) for k, v in batch.items()}, key_x)
    moments = _apply(encoder, state.encoder, x)
    answer = _apply(decoder, state.decoder, noise["z"])
    return {"encoder": jnp.concatenate(moments, axis=-1), "decoder": answer}


def _vae_gradients(states):
    moments = optax.tree.get(states[1].optimizer, "mu")
    names = ("encoder", "decoder", "likelihood")
    found = {k: flatten_dict(x, sep="/") for k, x in zip(names, moments, strict=True)}
    return {network: x for network, x in found.items() if x}


def _cnn_outputs(run, state, batch, noise):
    x = images.to_float(jnp.asarray(batch["image"]), low=-1)
    return {"network": _apply(classifier(run.config, run.dataset.classes), state.network, x)}


def _style_outputs(run, state, batch, noise):
    config = run.config
    taps = tuple(dict.fromkeys([*config.content_loss.layers, *config.style_loss.layers]))
    net = features.load(config.features.name, taps, config.features.pool)
    return jax.jit(partial(net.apply, taps=taps))(net.weights, jnp.asarray(state.at.image))


_OURS = {
    "gan": Ours(_gan_noise, _gan_outputs, _gan_gradients, ("d_loss", "g_loss", "penalty")),
    "vae": Ours(
        _vae_noise, _vae_outputs, _vae_gradients, ("negative_elbo", "reconstruction", "kl")
    ),
    "cnn": Ours(
        lambda config, batch, key: {},
        _cnn_outputs,
        lambda states: {"network": _moments(states[1].optimizer)},
        ("loss",),
    ),
    "style": Ours(
        lambda config, batch, key: {},
        _style_outputs,
        lambda states: {"image": {"gradient": states[0].at.gradient}},
        ("loss",),
    ),
}
