"""The GAN task: a generator and a discriminator, trained in turn."""

from functools import partial

import jax
import jax.numpy as jnp
import optax

from genjax import images, rng
from genjax.config import choose
from genjax.errors import UserError
from genjax.gan import dcgan, sngan
from genjax.gan.losses import LOSSES
from genjax.gan.regularizers import REGULARIZERS
from genjax.gan.round import Game, GanState, as_shown, play
from genjax.nn import compute_type
from genjax.task import Inputs, Task

# Each makes (generator, discriminator) for images of shape (H, W, C); see `networks`.
NETWORKS = {"dcgan": dcgan.networks, "sngan": sngan.networks}


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "gan". A step is a round (`genjax.gan.round`).

    Raises:
      UserError: a name is unknown, the networks do not make images of this shape, the regularizer
        is not possible with this discriminator, or the learning rate would be 0 before the end.
    """
    model, shape = config.model, inputs.dataset.shape
    networks = choose("model.name", model.name, NETWORKS)
    make = partial(networks, model, shape)
    dtype = compute_type(config.precision)
    loss = choose("loss", config.loss, LOSSES)
    regularizer = choose("regularizer.name", config.regularizer.name, {"none": None} | REGULARIZERS)
    generator_optimizer, discriminator_optimizer = _adam(config, 1), _adam(config, config.n_dis)

    def game(axis_name=None) -> Game:
        generator, discriminator = make(axis_name=axis_name, dtype=dtype)
        _, exact = make(axis_name=axis_name, dtype=jnp.float32)
        return Game(
            config,
            generator,
            discriminator,
            exact,
            loss,
            regularizer,
            config.regularizer.weight,
            generator_optimizer,
            discriminator_optimizer,
            axis_name,
        )

    def first_variables(key):
        players = game()
        key_g, key_d = jax.random.split(key)
        g = players.generator.init(key_g, jnp.zeros((1, model.latent)), train=True)
        d = players.discriminator.init(key_d, jnp.zeros((1, *shape)), train=True)
        return g, d

    if regularizer and "batch_stats" in jax.eval_shape(first_variables, jax.random.key(0))[1]:
        # The gradient of the sum of logits is then not that of each, and the penalty another one.
        name = config.regularizer.name
        raise UserError(
            f"regularizer.name={name!r} needs a discriminator without BatchNorm, which "
            f"model.name={model.name!r} has: use configs/wgan_gp.py or configs/r1.py"
        )

    def init(key, constants):
        g, d = first_variables(key)
        return GanState(
            step=jnp.int32(0),
            generator=g,
            discriminator=d,
            average=jax.tree.map(jnp.copy, g),  # an alias would be donated along with g
            generator_optimizer=generator_optimizer.init(g["params"]),
            discriminator_optimizer=discriminator_optimizer.init(d["params"]),
        )

    def step(state, batch, key, axis_name):
        return play(game(axis_name), state, batch["image"], key)

    def generate(state, key, n):
        z = rng.normal(key, n, (model.latent,))
        return game().generator.apply(state.average, z, train=False)

    def evaluate(state, batch, key):
        """What the discriminator makes of held-out and of generated images.

        A discriminator that tells held-out images from training ones has learnt them by heart:
        `d_real` then falls well below the training's.
        """
        real = as_shown(config, batch["image"], key)
        judge = partial(game().discriminator.apply, state.discriminator, train=False)
        logits_real, logits_fake = judge(real), judge(generate(state, key, len(real)))
        return {
            "d_loss": loss.discriminator(logits_real, logits_fake),
            "g_loss": loss.generator(logits_fake),
            "d_real": (logits_real > 0).astype(jnp.float32),
            "d_fake": (logits_fake > 0).astype(jnp.float32),
        }

    def sample(state, key, n):
        return images.to_uint8(generate(state, key, n), low=-1)

    images_per_step = config.n_dis * config.train.batch_size
    return Task(init, step, images_per_step, evaluate=evaluate, sample=sample)


def _adam(config, updates: int) -> optax.GradientTransformation:
    """Adam for a network that is updated so many times a round.

    Raises:
      UserError: the run is longer than its learning rate lasts.
    """
    options, rate = config.optimizer, config.optimizer.learning_rate
    if options.linear_decay:
        if config.train.steps > options.linear_decay:
            raise UserError(
                f"train.steps={config.train.steps} goes on after the learning rate is 0, at "
                f"optimizer.linear_decay={options.linear_decay}: make them equal"
            )
        rate = optax.linear_schedule(rate, 0.0, options.linear_decay * updates)
    return optax.adam(rate, b1=options.b1, b2=options.b2)
