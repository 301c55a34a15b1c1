"""The GAN task: a generator and a discriminator, trained in turn on the same generated images."""

from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from genjax import images, rng
from genjax.config import choose
from genjax.gan import dcgan
from genjax.gan.losses import LOSSES
from genjax.nn import ema
from genjax.nn.precision import compute_type
from genjax.parallel import mean, whole
from genjax.task import Inputs, Task

# Each makes (generator, discriminator) for images of shape (H, W, C); see `networks`.
NETWORKS = {"dcgan": dcgan.networks}


@flax.struct.dataclass
class GanState:
    """Everything that a resume needs.

    Attributes:
      step: i32[], rounds done.
      generator, discriminator: Linen variables, `params` and `batch_stats`.
      average: the moving average of the generator's variables, which samples come from.
      generator_optimizer, discriminator_optimizer: optax states.
    """

    step: jax.Array
    generator: Any
    discriminator: Any
    average: Any
    generator_optimizer: Any
    discriminator_optimizer: Any


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "gan".

    A round is that of DCGAN: the discriminator is updated on a real and a generated batch, then
    the generator against the updated discriminator on the same generated batch, so that the
    generator runs forward once. Its gradient comes back through that one pass.
    """
    model, batch_size = config.model, config.train.batch_size
    networks = choose("model.name", model.name, NETWORKS)
    loss = choose("loss", config.loss, LOSSES)
    shape = inputs.dataset.shape
    make = partial(networks, model, shape, dtype=compute_type(config.precision))
    optimizer = optax.adam(
        config.optimizer.learning_rate, b1=config.optimizer.b1, b2=config.optimizer.b2
    )

    def init(key, constants):
        generator, discriminator = make()
        key_g, key_d = jax.random.split(key)
        g = generator.init(key_g, jnp.zeros((1, model.latent)), train=True)
        d = discriminator.init(key_d, jnp.zeros((1, *shape)), train=True)
        return GanState(
            step=jnp.int32(0),
            generator=g,
            discriminator=d,
            average=jax.tree.map(jnp.copy, g),  # an alias would be donated along with g
            generator_optimizer=optimizer.init(g["params"]),
            discriminator_optimizer=optimizer.init(d["params"]),
        )

    def step(state, batch, key, axis_name):
        generator, discriminator = make(axis_name=axis_name)
        real = images.to_float(batch["image"], low=-1)
        z = rng.normal(key, len(real), (model.latent,), axis_name)

        def generate(params):
            fake, updated = generator.apply(
                state.generator | {"params": whole(params)}, z, train=True, mutable=["batch_stats"]
            )
            return fake, updated

        fake, generator_backward, g_updated = jax.vjp(
            generate, state.generator["params"], has_aux=True
        )

        def discriminator_loss(params):
            params = whole(params)
            logits_real, updated = discriminator.apply(
                state.discriminator | {"params": params}, real, train=True, mutable=["batch_stats"]
            )
            logits_fake, updated = discriminator.apply(
                {"params": params} | updated, fake, train=True, mutable=["batch_stats"]
            )
            value = loss.discriminator(logits_real, logits_fake).mean()
            return value, (updated, logits_real, logits_fake)

        (d_loss, (d_updated, logits_real, logits_fake)), d_grads = jax.value_and_grad(
            discriminator_loss, has_aux=True
        )(state.discriminator["params"])
        d_grads = mean(d_grads, axis_name)
        d_params, d_optimizer = _update(
            optimizer,
            d_grads,
            state.discriminator_optimizer,
            state.discriminator["params"],
        )

        def generator_loss(fake):
            logits, _ = discriminator.apply(
                {"params": whole(d_params)} | d_updated, fake, train=True, mutable=["batch_stats"]
            )
            return loss.generator(logits).mean()

        g_loss, fake_grads = jax.value_and_grad(generator_loss)(fake)
        (g_grads,) = generator_backward(fake_grads)
        g_grads = mean(g_grads, axis_name)
        g_params, g_optimizer = _update(
            optimizer,
            g_grads,
            state.generator_optimizer,
            state.generator["params"],
        )

        generator_variables = {"params": g_params} | g_updated
        state = GanState(
            step=state.step + 1,
            generator=generator_variables,
            discriminator={"params": d_params} | d_updated,
            average=ema.update(
                state.average,
                generator_variables,
                state.step,
                batch_size,
                config.ema.half_life,
                config.ema.ramp,
            ),
            generator_optimizer=g_optimizer,
            discriminator_optimizer=d_optimizer,
        )
        return state, {
            "d_loss": d_loss,
            "g_loss": g_loss,
            "d_real": jnp.mean(logits_real > 0),
            "d_fake": jnp.mean(logits_fake > 0),
            "d_grad_norm": optax.tree.norm(d_grads),
            "g_grad_norm": optax.tree.norm(g_grads),
        }

    def generate(state, key, n):
        generator, _ = make()
        return generator.apply(state.average, rng.normal(key, n, (model.latent,)), train=False)

    def evaluate(state, batch, key):
        """What the discriminator makes of held-out and of generated images.

        A discriminator that tells held-out images from training ones has learnt them by heart:
        `d_real` then falls well below the training's.
        """
        _, discriminator = make()
        real = images.to_float(batch["image"], low=-1)
        judge = partial(discriminator.apply, state.discriminator, train=False)
        logits_real, logits_fake = judge(real), judge(generate(state, key, len(real)))
        return {
            "d_loss": loss.discriminator(logits_real, logits_fake),
            "g_loss": loss.generator(logits_fake),
            "d_real": (logits_real > 0).astype(jnp.float32),
            "d_fake": (logits_fake > 0).astype(jnp.float32),
        }

    def sample(state, key, n):
        return images.to_uint8(generate(state, key, n), low=-1)

    return Task(init, step, batch_size, evaluate=evaluate, sample=sample)


def _update(optimizer, grads, optimizer_state, params):
    updates, optimizer_state = optimizer.update(grads, optimizer_state, params)
    return optax.apply_updates(params, updates), optimizer_state
