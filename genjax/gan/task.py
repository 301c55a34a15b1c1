"""The GAN task: a generator and a discriminator, trained in turn."""

from functools import partial

import jax
import jax.numpy as jnp

from genjax import rng
from genjax.config import choose
from genjax.gan import biggan, dcgan, drawing, options, r3gan, resnet, sagan, sngan, stylegan2
from genjax.gan.losses import LOSSES, realness, with_classes
from genjax.gan.regularizers import REGULARIZERS
from genjax.gan.round import preprocess_real, train_step
from genjax.gan.state import Gan, GanState
from genjax.nn import InParts, apply, backend, compute_type
from genjax.nn.standing import has_batch_norm
from genjax.task import Inputs, Task

_WON = 0.99  # the share of pictures told apart, of either kind, at which a discriminator has won

# {model.name: (config's `model`, image shape, classes of the data, axis_name, dtype) ->
# (generator, discriminator)}
NETWORKS = {
    "dcgan": dcgan.networks,
    "sngan": sngan.networks,
    "chainer_gan_lib": sngan.chainer_gan_lib_networks,
    "resnet": resnet.networks,
    "sagan": sagan.networks,
    "biggan": biggan.networks,
    "studiogan_biggan": biggan.studiogan_networks,
    "stylegan2": stylegan2.networks,
    "r3gan": r3gan.networks,
}


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "gan"; its step is `genjax.gan.round.train_step`.

    Raises:
      UserError: a name is unknown, the networks cannot make images of this shape or need classes
        that the data do not have, a combination of options makes no sense (`genjax.gan.options`),
        or the learning rate would be 0 before the end.
    """
    model, shape = config.model, inputs.dataset.shape
    networks = choose("model.name", model.name, NETWORKS)
    make = partial(networks, model, shape, classes=inputs.dataset.classes)
    dtype = compute_type(config.precision)
    loss = choose("loss", config.loss, LOSSES)
    if model.get("condition") == "auxiliary":
        loss = with_classes(loss)
    regularizer = choose("regularizer.name", config.regularizer.name, {"none": None} | REGULARIZERS)
    fixed = options.read(config)

    def gan(axis_name=None, parts=1) -> Gan:
        networks = make(axis_name=axis_name, dtype=dtype)
        networks += make(axis_name=axis_name, dtype=jnp.float32)[1:]
        if parts > 1:
            networks = [InParts(network, parts) for network in networks]
        generator, discriminator, discriminator_f32 = networks
        return Gan(
            config=config,
            G=generator,
            D=discriminator,
            discriminator_f32=discriminator_f32,
            loss=loss.over(axis_name),
            regularizer=regularizer,
            axis_name=axis_name,
            **fixed,
        )

    def init_variables(key):
        key_g, key_d = jax.random.split(key)
        label = jnp.zeros(1, jnp.int32)
        g = gan().G.init(key_g, jnp.zeros((1, model.latent)), label, train=True)
        d = gan().D.init(key_d, jnp.zeros((1, *shape)), label, train=True)
        return g, d

    shapes = partial(jax.eval_shape, init_variables, jax.random.key(0))
    options.check(config, make()[0], shapes)
    classes = getattr(make()[0], "classes", 0)  # those that the generator knows
    label_of = drawing.labels(config, classes)
    latents = drawing.latents(config, make()[0], label_of, lambda: has_batch_norm(shapes()[0]))

    @backend.native()
    def init(key, constants):
        g, d = init_variables(key)
        return GanState(
            step=jnp.int32(0),
            generator=g,
            discriminator=d,
            average=jax.tree.map(jnp.copy, g),  # a copy, as no buffer can be donated twice
            generator_optimizer=fixed["g_optimizer"].init(g["params"]),
            discriminator_optimizer=fixed["d_optimizer"].init(d["params"]),
            memory=gan().memory,
        )

    def step(state, batch, key, axis_name):
        return train_step(
            gan(axis_name, config.accumulate), state, batch["image"], batch["label"], key
        )

    def generate(state, key, examples, label):
        return drawing.averaged(gan().G, state, rng.normal(key, examples, (model.latent,)), label)

    def in_batches(function, *arrays):
        """f[B, ...] of as many examples as some training batches have, each batch by itself."""
        batches = len(arrays[0]) // config.train.batch_size
        # Every so manieth example, so that each device has its share of each batch.
        shares = [jnp.moveaxis(y.reshape(-1, batches, *y.shape[1:]), 1, 0) for y in arrays]
        answers = jax.lax.map(lambda batch: function(*batch), tuple(shares))
        return jax.tree.map(lambda y: jnp.moveaxis(y, 1, 0).reshape(-1, *y.shape[2:]), answers)

    def judge(state, x, label):
        """D's answers to as many images as some training batches have, each batch by itself.

        As in training: BatchNorm has the statistics of `train.batch_size` images, either all real
        or all generated. The running ones are of both, and by them D tells neither.
        """

        def one(*batch):
            return apply(gan().D, state.discriminator, *batch, mutable=("batch_stats",))[0]

        return in_batches(one, x, label)

    def cost(function, on_real, on_fake, label):
        """A loss, f32[B]; what averages over a batch does so over batches of training's size."""
        scores = gan().scored(on_real), gan().scored(on_fake)
        return (partial(in_batches, function) if loss.averages else function)(*scores, label)

    @backend.native()
    def evaluate(state, batch, key):
        """Losses, and whether logits are > 0, of held-out images and of samples; f32[B] each.

        The discriminator judges them as in training; B is a multiple of `train.batch_size`. If
        `eval/d_real` is well below `train/d_real`, it has memorised training images: it takes
        held-out ones for generated.
        """
        key_z, key_real = jax.random.split(key)
        label, index = batch["label"], batch["index"]
        real = preprocess_real(config, batch["image"], key_real, index)
        fake = generate(state, key_z, index, label)
        on_real, on_fake = judge(state, real, label), judge(state, fake, label)
        return {
            "d_loss": cost(loss.discriminator, on_real, on_fake, label),
            "g_loss": cost(loss.generator, on_real, on_fake, label),
            "d_real": (realness(on_real) > 0).astype(jnp.float32),
            "d_fake": (realness(on_fake) > 0).astype(jnp.float32),
        }

    def decode(state, z, index):
        return (drawing.averaged(gan().G, state, z, label_of(index)) + 1) / 2

    return Task(
        init,
        step,
        images_per_step=(config.n_dis + config.own_batch) * config.train.batch_size,
        evaluate=evaluate,
        sample=latents.sample,
        latents=latents,
        classes=classes,
        decode=decode,
        sampled_with={"parameters": "average", "batch_norm": _statistics(config.sample.standing)},
        networks=("generator", "discriminator", "average"),
        # The answers of a critic, or to pairs, have no zero that would divide real from generated.
        saturated=None if config.loss == "wasserstein" or loss.relativistic else _saturated,
    )


def _saturated(metrics) -> bool:
    return metrics["train/d_real"] > _WON and metrics["train/d_fake"] < 1 - _WON


def _statistics(standing: int) -> str:
    return f"standing, of {standing} batches" if standing else "running"
