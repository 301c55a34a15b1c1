"""Our side of a parity check: ten steps of the program that the loop runs, and what they saw."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict

from genjax import data, rng, runs
from genjax.cnn import features
from genjax.cnn.task import classifier
from genjax.data.augment import augment
from genjax.errors import UserError
from genjax.gan import task as gan
from genjax.gan.modulation import StyledConv
from genjax.gan.state import Use, key_of
from genjax.steps import Steps
from genjax.style import encoder as encoders
from genjax.style.transformation import TransformationNetwork
from genjax.vae import coded, vdvae
from genjax.vae import task as vae

STEPS = 10


class Account(NamedTuple):
    """What is compared."""

    outputs: dict[str, np.ndarray]  # {network: …}
    gradients: dict[str, dict[str, np.ndarray]]  # {network: {parameter: …}}, up to a factor
    losses: dict[str, np.ndarray]  # {name: [STEPS]}; our side has all its metrics here


class Trace(NamedTuple):
    """Our side's account, with all that the peer needs to go the same way."""

    account: Account
    start: Any  # the state before the first step
    inputs: dict[str, np.ndarray]  # {network: …}, of which the account's outputs are the answers
    batches: list[dict[str, np.ndarray]]  # as the task saw them; of style, the "image" that it left
    noises: list[dict[str, np.ndarray]]  # of each step, the random numbers that the task drew


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
        return run, (_style_trace if config.task == "style" else _trace)(run)


def _trace(run: runs.Run) -> Trace:
    config = run.config
    names, modules, noise = _FAMILIES[config.task]
    options = _gan_inputs(run) if config.task == "gan" else {}
    rows = np.arange(run.task.images_per_step)
    feed = data.Resident(run.dataset.train, len(rows), rows, config.seed)
    shape = feed.arrays["image"].shape
    feed.arrays["image"] = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    states, losses = _ten_steps(run, feed)
    outputs, inputs = {}, {}
    for name, module in zip(names, modules(run), strict=False):
        inputs[name] = _random_input(run, name, outputs)
        outputs[name] = _answer(module, getattr(states[0], name), inputs[name], **options)
    account = Account(outputs, _gradients(names, states[1]), losses)
    batches = [_batch(config, feed, t) for t in range(STEPS)]
    key, draw = rng.stream(config.seed, rng.Stream.STEP), partial(noise, run)
    noises = [draw(batch, jax.random.fold_in(key, t)) for t, batch in enumerate(batches)]
    return Trace(account, states[0], inputs, batches, noises)


def _style_trace(run: runs.Run) -> Trace:
    config, (states, losses) = run.config, _ten_steps(run, None)
    start = states[0].at
    taps = tuple(dict.fromkeys([*config.content_loss.layers, *config.style_loss.layers]))
    options = config.features
    net = features.load(options.name, taps, options.pool, border=options.border)
    outputs = jax.jit(partial(net.apply, taps=taps))(net.weights, jnp.asarray(start.image))
    account = Account(outputs, {"image": {"gradient": start.gradient}}, losses)
    batches = [{"image": state.at.image} for state in states[1:]]
    return Trace(account, states[0], {}, batches, [{}] * STEPS)


def _ten_steps(run: runs.Run, feed) -> tuple[list, dict[str, np.ndarray]]:
    """(the states before each step and after the last, {metric: [STEPS]})."""
    key = rng.stream(run.config.seed, rng.Stream.INIT)
    state = run.devices.init(run.task.init, key, run.task.constants)
    states, metrics = [jax.device_get(state)], []
    state = run.devices.from_global(state)
    steps = Steps(run, feed, state)
    for t in range(STEPS):
        state, values = steps(state, steps.inputs(t, 1), t, 1)
        states.append(jax.device_get(run.devices.to_global(state)))
        metrics.append(values)
    return states, {name: np.array([x[name][0] for x in metrics]) for name in metrics[0]}


def _batch(config, feed, step: int) -> dict[str, np.ndarray]:
    """The batch of a step as `step_function` hands it to the task."""
    key = jax.random.fold_in(rng.stream(config.seed, rng.Stream.AUGMENT), step)
    inputs = {name: x[0] for name, x in feed.chunk(step, 1).items()}
    batch = data.select(feed.arrays, inputs)
    return jax.device_get(augment(batch, key, config.data.flip, config.data.shift))


def _random_input(run: runs.Run, network: str, outputs: dict[str, np.ndarray]) -> np.ndarray:
    """For what makes pictures, z f32[B, latent], or of codes what the encoder answers, or of very
    deep VAEs noise for all latents, or of a VGG's features f32[B, 4, 4, C]; else pictures
    f32[B, H, W, C] in [-1, 1]."""
    random, batch = np.random.default_rng(0), run.config.train.batch_size
    if run.config.task == "vq" and network == "decoder":
        return random.standard_normal(outputs["encoder"].shape, np.float32)
    if run.config.task == "style_adain":
        return random.standard_normal((batch, 4, 4, encoders.load(run.config).channels), np.float32)
    if run.config.task == "vdvae" and network == "decoder":
        numbers = vdvae.networks(run.config.model, run.dataset.shape)[1].numbers
        return random.standard_normal((batch, numbers), np.float32)
    if network in ("generator", "decoder"):
        return random.standard_normal((batch, run.config.model.latent), np.float32)
    return random.uniform(-1, 1, (batch, *run.dataset.shape)).astype(np.float32)


def _answer(module, variables, x, **options) -> np.ndarray:
    """In training mode, with the statistics of the batch; an encoder's two arrays as one."""
    answer, _ = jax.jit(partial(module.apply, train=True, mutable=True))(variables, x, **options)
    return np.concatenate(answer, axis=1) if isinstance(answer, tuple) else np.asarray(answer)


def _gradients(names: tuple[str, ...], state) -> dict[str, dict[str, np.ndarray]]:
    """{network: {parameter: array}}: Adam's first moments, which a state has in this order."""
    optimizers = [x for field, x in vars(state).items() if field.endswith("optimizer")]
    moments = [optax.tree.get(optimizer, "mu") for optimizer in optimizers]
    if isinstance(moments[0], tuple):  # one optimiser has them all
        (moments,) = moments
    moments = [x.get("params", x) for x in moments]
    return {name: flatten_dict(x, sep="/") for name, x in zip(names, moments, strict=True) if x}


def _gan_inputs(run: runs.Run) -> dict:
    """What networks of GANs are applied to besides: classes in turn, and a key of noise, whose
    strength begins at 0."""
    label = np.arange(run.config.train.batch_size, dtype=np.int32) % max(1, run.dataset.classes)
    return {"label": label, "rngs": {"noise": jax.random.key(0)}}


def _gan_noise(run: runs.Run, batch, key):
    config = run.config
    n, normal = config.train.batch_size, partial(rng.normal, shape=(config.model.latent,))
    key_z, key_real, key_penalty, key_earlier = jax.random.split(key, 4)
    earlier = config.n_dis - 1 + config.own_batch
    keys = [jax.random.fold_in(key_earlier, i) for i in range(earlier)]
    earlier = [jax.random.split(key) for key in keys]
    penalties = [*(k for _, k in earlier), key_penalty]
    return {
        "z": normal(key_z, config.generator_batch * n),
        "earlier_z": jnp.array([normal(k, n) for k, _ in earlier]),
        "uniform": rng.uniform(key_real, len(batch["image"]), batch["image"].shape[1:]),
        "alpha": jnp.array([rng.uniform(k, n, ()) for k in penalties]),
    } | _layers_noise(run, key_of(key_z, Use.NOISE))


def _layers_noise(run: runs.Run, key) -> dict:
    """{layer: f32[B, H, W, 1]} that StyleGAN2's generator draws from its stream `noise`."""
    config, found = run.config, {}
    if config.model.name != "stylegan2":
        return found
    generator, _ = gan.NETWORKS[config.model.name](config.model, run.dataset.shape)

    def kept(function, args, kwargs, context):
        y = function(*args, **kwargs)
        if isinstance(context.module, StyledConv) and context.method_name == "_noise":
            found[context.module.name] = y
        return y

    @jax.jit
    def draw(key):
        # The parameters are no matter, but that there are any.
        z = jnp.zeros((config.train.batch_size * config.generator_batch, config.model.latent))
        variables = generator.init(jax.random.key(0), z[:1], train=True)
        with nn.intercept_methods(kept):
            generator.apply(variables, z, train=True, mutable=True, rngs={"noise": key})
        return found

    return draw(key)


def _vae_noise(run: runs.Run, batch, key):
    config = run.config
    key_x, key_z = jax.random.split(key)
    n, *shape = batch["image"].shape
    return {
        "z": rng.normal(key_z, n, (config.bound.k, config.model.latent)),
        "uniform": rng.uniform(key_x, n, tuple(shape)),
    }


class _Untrained(NamedTuple):
    """A module that is the same in training and after it, as `_answer` applies one."""

    answer: Callable

    def apply(self, variables, x, train: bool, mutable: bool):
        return self.answer(variables, x), None


def _vdvae_modules(run: runs.Run):
    """An encoder that answers with its features of the least side, and a decoder of the prior's
    samples."""
    encoder, decoder = vdvae.networks(run.config.model, run.dataset.shape)
    last = min(part.side // part.down for part in encoder.blocks)
    return (
        _Untrained(lambda variables, x: encoder.apply(variables, x)[last]),
        _Untrained(lambda variables, x: decoder.apply(variables, x)[0]),
    )


def _vdvae_noise(run: runs.Run, batch, key):
    numbers = vdvae.networks(run.config.model, run.dataset.shape)[1].numbers
    return {"z": rng.normal(key, len(batch["image"]), (numbers,))}


def _transformation(run: runs.Run):
    """The network that paints, of the styles in turn."""
    model, styles = run.config.model, run.task.stylization.styles
    network = TransformationNetwork(styles, model.width, model.blocks, model.kind)

    def answer(variables, x):
        return network.apply(variables, x, jax.nn.one_hot(jnp.arange(len(x)) % styles, styles))

    return (_Untrained(answer),)


def _drawn_styles(run: runs.Run, batch, key):
    return {"uniform": rng.uniform(key, len(batch["image"]), ())}


def _mirror(run: runs.Run):
    """The decoder of a VGG's features."""
    return (_Untrained(encoders.Decoder(encoders.load(run.config).mirror).apply),)


def _drawn_squares(run: runs.Run, batch, key):
    return {"uniform": rng.uniform(key, len(batch["image"]), (5,))}


# {task: (the networks' names in the state, `run -> their Linen modules`, and what a step draws,
# `(run, batch, key of the step) -> {name: array}`)}. A likelihood has parameters but no module,
# and a book of codes neither.
_FAMILIES = {
    "gan": (
        ("generator", "discriminator"),
        lambda run: gan.NETWORKS[run.config.model.name](
            run.config.model, run.dataset.shape, run.dataset.classes
        ),
        _gan_noise,
    ),
    "vae": (
        ("encoder", "decoder", "likelihood"),
        lambda run: vae.NETWORKS[run.config.model.name](
            run.config.model,
            run.dataset.shape,
            mean_picture=lambda: np.zeros(run.dataset.shape),  # its parameters are the run's
        ),
        _vae_noise,
    ),
    "vq": (
        ("encoder", "decoder", "quantizer"),
        lambda run: coded.layers(run.config, run.dataset.shape)[:2],
        lambda run, batch, key: {},
    ),
    "vdvae": (("encoder", "decoder"), _vdvae_modules, _vdvae_noise),
    "style_fast": (("network",), _transformation, _drawn_styles),
    "style_adain": (("decoder",), _mirror, _drawn_squares),
    "cnn": (
        ("network",),
        lambda run: (classifier(run.config, run.dataset.classes),),
        lambda run, batch, key: {},
    ),
}
