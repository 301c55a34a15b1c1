"""One round of the game: `n_dis` updates of the discriminator, then one of the generator."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from genjax import images, rng
from genjax.devices import gather_params, pmean
from genjax.errors import UserError
from genjax.gan.losses import Loss
from genjax.nn import ema, spectral_norm

# Example i of a batch has the key `fold_in(key, i)` (`rng.example_keys`), and a round's last batch
# of latents that of the round itself; everything else is at places that no batch reaches.
DEQUANTIZE, PENALTY, EARLIER = range(2**32 - 3, 2**32)


@flax.struct.dataclass
class GanState:
    """Everything that a resume needs.

    Attributes:
      step: i32[], rounds done.
      generator, discriminator: Linen variables: `params`, and `batch_stats` and the vectors of
        spectral norms where there are any.
      average: the moving average of the generator's variables, which samples come from.
      generator_optimizer, discriminator_optimizer: optax states.
    """

    step: jax.Array
    generator: Any
    discriminator: Any
    average: Any
    generator_optimizer: Any
    discriminator_optimizer: Any


class Game(NamedTuple):
    """The players and the rules.

    Attributes:
      config: of the run; `n_dis`, `generator_batch`, `dequantize`, `model.latent`,
        `train.batch_size` and `ema` are read.
      generator, discriminator: for batches that are divided along `axis_name`, if anything.
      exact: the discriminator in float32, whatever `precision` says: for penalties.
      loss: of both.
      regularizer: of the discriminator (`genjax.gan.regularizers`), or None; weight: its factor.
      generator_optimizer, discriminator_optimizer: one update each is one call.
      axis_name: the mapped axis, or None where programs see the global batch.
    """

    config: ConfigDict
    generator: nn.Module
    discriminator: nn.Module
    exact: nn.Module
    loss: Loss
    regularizer: Callable | None
    weight: float
    generator_optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation
    axis_name: str | None


def play(game: Game, state: GanState, image, key) -> tuple[GanState, dict]:
    """The state after a round, and its metrics; those of the discriminator are of its last update.

    The last update of the discriminator is on images that the generator's own update uses too, so
    that the generator runs forward once for both, and its gradient comes back through that pass.

    Args:
      image: u8[n_dis * b, H, W, C], this device's share of the round's real images.
      key: of this round.
    """
    batches = _deal(game, image, key)
    discriminator = state.discriminator, state.discriminator_optimizer
    discriminator = _earlier_updates(game, state, discriminator, batches[:-1], key)

    real, multiple = batches[-1], game.config.generator_batch
    z = _latents(game, key, multiple * len(real))

    def generate(params):
        return game.generator.apply(
            state.generator | {"params": gather_params(params)},
            z,
            train=True,
            mutable=["batch_stats"],
        )

    fake, generator_backward, updated = jax.vjp(generate, state.generator["params"], has_aux=True)
    shown = fake.reshape(len(real), multiple, *fake.shape[1:])[:, 0]
    discriminator, d_metrics = _update_discriminator(game, *discriminator, real, shown, key)
    d_variables, d_optimizer = discriminator

    def objective(fake):
        logits, _ = game.discriminator.apply(
            d_variables | {"params": gather_params(d_variables["params"])},
            fake,
            train=True,
            mutable=["batch_stats"],
        )
        return game.loss.generator(logits).mean()

    g_loss, fake_grads = jax.value_and_grad(objective)(fake)
    (g_grads,) = generator_backward(fake_grads)
    g_grads = pmean(g_grads, game.axis_name)
    g_params, g_optimizer = _descend(
        game.generator_optimizer, g_grads, state.generator_optimizer, state.generator["params"]
    )
    g_variables = {"params": g_params} | updated
    averaging = game.config.ema
    state = GanState(
        step=state.step + 1,
        generator=g_variables,
        discriminator=d_variables,
        average=ema.update(
            state.average,
            g_variables,
            state.step,
            game.config.train.batch_size,
            averaging.half_life,
            averaging.ramp,
        ),
        generator_optimizer=g_optimizer,
        discriminator_optimizer=d_optimizer,
    )
    return state, d_metrics | {"g_loss": g_loss, "g_grad_norm": optax.tree.norm(g_grads)}


def as_shown(config: ConfigDict, image, key, axis_name: str | None = None):
    """u8[B, H, W, C] -> f32[B, H, W, C], real images as the discriminator sees them: in [-1, 1].

    With `dequantize`, noise from U(0, 1/128), about one of the 256 levels, is added.
    """
    real = images.to_float(image, low=-1)
    if not config.dequantize:
        return real
    key = jax.random.fold_in(key, DEQUANTIZE)
    return real + rng.uniform(key, len(real), real.shape[1:], axis_name) / 128


def _deal(game: Game, image, key):
    """f32[n_dis, b, H, W, C], a batch for each update of the discriminator.

    Each takes every n_dis-th image, so that a device which holds a part of the images holds a part
    of each batch, and nothing moves.
    """
    rounds = game.config.n_dis
    if len(image) % rounds:
        raise UserError(
            f"train.batch_size={game.config.train.batch_size} does not divide over the devices: "
            "make it a multiple of their number"
        )
    real = as_shown(game.config, image, key, game.axis_name)
    return jnp.moveaxis(real.reshape(-1, rounds, *real.shape[1:]), 1, 0)


def _latents(game: Game, key, n: int):
    return rng.normal(key, n, (game.config.model.latent,), game.axis_name)


def _earlier_updates(game: Game, state: GanState, discriminator, batches, key):
    """The discriminator (variables, optimizer state) after an update on each of the real `batches`.

    The generated images are of latents of their own, and forgotten; so are the statistics of their
    batches, since the running ones are to follow the generator's updates. One loop, whatever its
    length, so that the time to compile does not depend on it.
    """
    if not len(batches):
        return discriminator
    g_variables = state.generator | {"params": gather_params(state.generator["params"])}

    def update(discriminator, x):
        real, i = x
        own_key = jax.random.fold_in(jax.random.fold_in(key, EARLIER), i)
        z = _latents(game, own_key, len(real))
        fake, _ = game.generator.apply(g_variables, z, train=True, mutable=["batch_stats"])
        return _update_discriminator(game, *discriminator, real, fake, own_key)[0], None

    return jax.lax.scan(update, discriminator, (batches, jnp.arange(len(batches))))[0]


def _update_discriminator(game: Game, variables, optimizer_state, real, fake, key):
    """((variables, optimizer state) after one update on two batches, metrics)."""

    def objective(params):
        params = gather_params(params)
        # Spectral norms take their step at the first application and are the same in the others.
        logits_real, updated = game.discriminator.apply(
            variables | {"params": params},
            real,
            train=True,
            mutable=["batch_stats", spectral_norm.COLLECTION],
        )
        now = variables | updated | {"params": params}
        logits_fake, updated_again = game.discriminator.apply(
            now, fake, train=True, mutable=["batch_stats"]
        )
        loss = game.loss.discriminator(logits_real, logits_fake).mean()
        total, metrics = loss, {"d_loss": loss}
        if game.regularizer:
            values = game.regularizer(
                lambda x: game.exact.apply(now, x, train=True),
                real,
                fake,
                jax.random.fold_in(key, PENALTY),
                game.axis_name,
            )
            metrics["penalty"] = game.weight * values.mean()
            total = loss + metrics["penalty"]
        metrics["d_real"] = jnp.mean(logits_real > 0)
        metrics["d_fake"] = jnp.mean(logits_fake > 0)
        return total, (updated | updated_again, metrics)

    grads, (updated, metrics) = jax.grad(objective, has_aux=True)(variables["params"])
    grads = pmean(grads, game.axis_name)
    params, optimizer_state = _descend(
        game.discriminator_optimizer, grads, optimizer_state, variables["params"]
    )
    metrics["d_grad_norm"] = optax.tree.norm(grads)
    return (variables | updated | {"params": params}, optimizer_state), metrics


def _descend(optimizer, grads, optimizer_state, params):
    updates, optimizer_state = optimizer.update(grads, optimizer_state, params)
    return optax.apply_updates(params, updates), optimizer_state
