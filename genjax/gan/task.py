"""The GAN task: a generator and a discriminator, trained in turn."""

from functools import partial

import jax
import jax.numpy as jnp
import optax

from genjax import rng
from genjax.config import choose
from genjax.errors import UserError
from genjax.gan import dcgan, r3gan, sngan, stylegan2
from genjax.gan.losses import LOSSES, realness
from genjax.gan.regularizers import REGULARIZERS
from genjax.gan.round import Gan, GanState, preprocess_real, to_pictures, train_step
from genjax.nn import apply, backend, check_lasts, compute_type
from genjax.task import Inputs, Task

_WON = 0.99  # the share of pictures told apart, of either kind, at which a discriminator has won

# {model.name: (config's `model`, image shape, axis_name, dtype) -> (generator, discriminator)}
NETWORKS = {
    "dcgan": dcgan.networks,
    "sngan": sngan.networks,
    "chainer_gan_lib": sngan.chainer_gan_lib_networks,
    "stylegan2": stylegan2.networks,
    "r3gan": r3gan.networks,
}


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "gan"; its step is `genjax.gan.round.train_step`.

    Raises:
      UserError: a name is unknown, the regularizer does not work with this discriminator's
        BatchNorm, or the learning rate would be 0 before the end. Without a regularizer, a shape of
        images that the networks cannot make is refused only by the task's `init`.
    """
    model, shape = config.model, inputs.dataset.shape
    networks = choose("model.name", model.name, NETWORKS)
    make = partial(networks, model, shape)
    dtype = compute_type(config.precision)
    loss = choose("loss", config.loss, LOSSES)
    regularizer = choose("regularizer.name", config.regularizer.name, {"none": None} | REGULARIZERS)
    g_optimizer, d_optimizer = _adam(config, 1), _adam(config, config.n_dis)

    def gan(axis_name=None) -> Gan:
        generator, discriminator = make(axis_name=axis_name, dtype=dtype)
        _, discriminator_f32 = make(axis_name=axis_name, dtype=jnp.float32)
        return Gan(
            config,
            generator,
            discriminator,
            discriminator_f32,
            loss,
            regularizer,
            config.regularizer.weight,
            g_optimizer,
            d_optimizer,
            axis_name,
        )

    def init_variables(key):
        key_g, key_d = jax.random.split(key)
        label = jnp.zeros(1, jnp.int32)
        g = gan().G.init(key_g, jnp.zeros((1, model.latent)), label, train=True)
        d = gan().D.init(key_d, jnp.zeros((1, *shape)), label, train=True)
        return g, d

    if regularizer and "batch_stats" in jax.eval_shape(init_variables, jax.random.key(0))[1]:
        # Batch statistics make each logit depend on all images: see `genjax.gan.regularizers`.
        name = config.regularizer.name
        raise UserError(
            f"regularizer.name={name!r} needs a discriminator without BatchNorm, which "
            f"model.name={model.name!r} has: use configs/wgan_gp.py or configs/r1.py"
        )

    @backend.native()
    def init(key, constants):
        g, d = init_variables(key)
        return GanState(
            step=jnp.int32(0),
            generator=g,
            discriminator=d,
            average=jax.tree.map(jnp.copy, g),  # a copy, as no buffer can be donated twice
            generator_optimizer=g_optimizer.init(g["params"]),
            discriminator_optimizer=d_optimizer.init(d["params"]),
        )

    def step(state, batch, key, axis_name):
        return train_step(gan(axis_name), state, batch["image"], batch["label"], key)

    def generate(state, key, examples, label):
        z = rng.normal(key, examples, (model.latent,))
        return gan().G.apply(state.average, z, label, train=False)

    def in_turn(index):
        """A class for each sample."""
        return index % max(1, inputs.dataset.classes)

    def judge(state, x, label):
        """D's answers to as many images as some training batches have, each batch by itself.

        As in training: BatchNorm has the statistics of `train.batch_size` images, either all real
        or all generated. The running ones are of both, and by them D tells neither.
        """
        batches = len(label) // config.train.batch_size

        def one(batch):
            return apply(gan().D, state.discriminator, *batch, mutable=("batch_stats",))[0]

        # Every so manieth example, so that each device has its share of each batch.
        shares = [jnp.moveaxis(y.reshape(-1, batches, *y.shape[1:]), 1, 0) for y in (x, label)]
        answers = jax.lax.map(one, tuple(shares))
        return jax.tree.map(lambda y: jnp.moveaxis(y, 1, 0).reshape(-1, *y.shape[2:]), answers)

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
            "d_loss": loss.discriminator(on_real, on_fake, label),
            "g_loss": loss.generator(on_real, on_fake, label),
            "d_real": (realness(on_real) > 0).astype(jnp.float32),
            "d_fake": (realness(on_fake) > 0).astype(jnp.float32),
        }

    def sample(state, key, index):
        return to_pictures(config, generate(state, key, index, in_turn(index)))

    def decode(state, z, index):
        return (gan().G.apply(state.average, z, in_turn(index), train=False) + 1) / 2

    return Task(
        init,
        step,
        images_per_step=config.n_dis * config.train.batch_size,
        evaluate=evaluate,
        sample=sample,
        decode=decode,
        sampled_with={"parameters": "average", "batch_norm": "running"},
        networks=("generator", "discriminator", "average"),
        # A critic's answers have no zero that would divide real from generated.
        saturated=None if config.loss == "wasserstein" else _saturated,
    )


def _saturated(metrics) -> bool:
    return metrics["train/d_real"] > _WON and metrics["train/d_fake"] < 1 - _WON


def _adam(config, updates: int) -> optax.GradientTransformation:
    """Adam for a network with so many `updates` a step; see `optimizer` in configs/dcgan.py.

    Raises:
      UserError: the rate is 0 before the last step, or so many updates are too many to count.
    """
    options, rate = config.optimizer, config.optimizer.learning_rate
    if options.linear_decay:
        check_lasts(config, "linear_decay")
        if options.linear_decay * updates >= 2**31:  # Adam counts updates in 32 bits
            raise UserError(
                f"optimizer.linear_decay={options.linear_decay} times n_dis={updates} has to be "
                "less than 2**31"
            )
        rate = optax.linear_schedule(rate, 0.0, options.linear_decay * updates)
    return optax.adam(rate, b1=options.b1, b2=options.b2)
