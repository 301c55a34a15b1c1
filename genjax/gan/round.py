"""A GAN's training step: `n_dis` updates of the discriminator, then one of the generator."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from genjax import images, rng
from genjax.devices import pmean
from genjax.errors import UserError
from genjax.gan.losses import Loss, realness
from genjax.nn import apply, descend, ema, spectral_norm, with_params


@flax.struct.dataclass
class GanState:
    """Everything that a resume needs.

    Attributes:
      step: i32[], steps done.
      generator, discriminator: their Linen variables: `params`, and `batch_stats` and the vectors
        of spectral norms where there are any.
      average: the moving average of the generator's variables, which samples come from.
      generator_optimizer, discriminator_optimizer: their optax states.
    """

    step: jax.Array
    generator: Any
    discriminator: Any
    average: Any
    generator_optimizer: Any
    discriminator_optimizer: Any


class Gan(NamedTuple):
    """What a step is made of, and does not change.

    Attributes:
      config: of the run; `n_dis`, `generator_batch`, `dequantize`, `model.latent`,
        `train.batch_size` and `ema` are read.
      G: the generator, `(z f32[B, latent], label i32[B], train) -> images f32[B, H, W, C]`.
      D: the discriminator, `(images, label, train) -> logits f32[B]`, or a tuple that begins with
        them.
      discriminator_f32: D with float32 arithmetic whatever `precision` says, for the regularizer.
      loss: of both.
      regularizer: of D (`genjax.gan.regularizers`), or None; weight: its factor.
      g_optimizer, d_optimizer: of their parameters.
      axis_name: the mapped axis that the batch is divided along, or None for the global batch.
    """

    config: ConfigDict
    G: nn.Module
    D: nn.Module
    discriminator_f32: nn.Module
    loss: Loss
    regularizer: Callable | None
    weight: float
    g_optimizer: optax.GradientTransformation
    d_optimizer: optax.GradientTransformation
    axis_name: str | None


def train_step(gan: Gan, state: GanState, image, label, key) -> tuple[GanState, dict]:
    """The state after a step, and its metrics; the discriminator's are of its last update.

    Args:
      image: u8[n_dis * b, H, W, C], label: i32[n_dis * b]: this device's share of real images.
      key: of this step.
    """
    config = gan.config
    key_z, key_real, key_penalty, key_earlier = jax.random.split(key, 4)
    real = preprocess_real(config, image, key_real, gan.axis_name)
    d_variables, d_opt_state = state.discriminator, state.discriminator_optimizer
    if config.n_dis > 1:
        d_variables, d_opt_state, real, label = _earlier_updates(
            gan, state, real, label, key_earlier
        )

    # Generated images, for both updates. Their gradient goes back through the same pass below.
    g_label = jnp.repeat(label, config.generator_batch)
    z = rng.normal(key_z, len(g_label), (config.model.latent,), gan.axis_name)

    def generate(params):
        return apply(gan.G, with_params(state.generator, params), z, g_label)

    fake, backward, g_variables = jax.vjp(generate, state.generator["params"], has_aux=True)

    # Discriminator: one update on the real images, and as many of the generated ones.
    beside_real = fake.reshape(len(real), config.generator_batch, *real.shape[1:])[:, 0]
    d_variables, d_opt_state, metrics = update_discriminator(
        gan, d_variables, d_opt_state, real, beside_real, label, key_penalty
    )

    # Generator: one update, by what the updated discriminator says.
    def g_loss(fake):
        variables = with_params(d_variables, d_variables["params"])
        on_real = None
        if gan.loss.relativistic:
            on_real, _ = apply(gan.D, variables, real, label)
            on_real = jax.tree.map(lambda x: jnp.repeat(x, config.generator_batch, 0), on_real)
        on_fake, _ = apply(gan.D, variables, fake, g_label)
        return gan.loss.generator(on_real, on_fake, g_label).mean()

    metrics["g_loss"], fake_grads = jax.value_and_grad(g_loss)(fake)
    g_grads = pmean(backward(fake_grads)[0], gan.axis_name)
    metrics["g_grad_norm"] = optax.tree.norm(g_grads)
    g_variables["params"], g_opt_state = descend(
        gan.g_optimizer, g_grads, state.generator_optimizer, state.generator["params"]
    )

    # Average: of the generator's variables over the last `half_life` images.
    average = ema.update(
        state.average,
        g_variables,
        state.step,
        config.train.batch_size,
        config.ema.half_life,
        config.ema.ramp,
    )
    step = state.step + 1
    return GanState(step, g_variables, d_variables, average, g_opt_state, d_opt_state), metrics


def update_discriminator(gan: Gan, variables, opt_state, real, fake, label, key):
    """(variables, opt_state, metrics) of D after one update on as many real and fake images.

    Args:
      real, fake: f32[b, H, W, C] in [-1, 1]; label: i32[b], of both.
      key: of the regularizer.
    """

    def d_loss(params):
        # D is one and the same function for all images of an update: its spectral norms take
        # their step of the power method here, at the first application, and at no other.
        updated = with_params(variables, params)
        mutable = ("batch_stats", spectral_norm.COLLECTION)
        on_real, updated = apply(gan.D, updated, real, label, mutable=mutable)
        on_fake, updated = apply(gan.D, updated, fake, label)
        loss = gan.loss.discriminator(on_real, on_fake, label).mean()
        metrics = {"d_loss": loss}
        if gan.regularizer:

            def critic(x):
                return realness(gan.discriminator_f32.apply(updated, x, label, train=True))

            penalty = gan.regularizer(critic, real, fake, key, gan.axis_name).mean()
            metrics["penalty"] = gan.weight * penalty
            loss += metrics["penalty"]
        metrics["d_real"] = jnp.mean(realness(on_real) > 0)
        metrics["d_fake"] = jnp.mean(realness(on_fake) > 0)
        return loss, (updated, metrics)

    grads, (updated, metrics) = jax.grad(d_loss, has_aux=True)(variables["params"])
    grads = pmean(grads, gan.axis_name)
    metrics["d_grad_norm"] = optax.tree.norm(grads)
    params, opt_state = descend(gan.d_optimizer, grads, opt_state, variables["params"])
    return updated | {"params": params}, opt_state, metrics


def preprocess_real(config: ConfigDict, image, key, axis_name: str | None = None):
    """u8[B, H, W, C] -> f32[B, H, W, C], real images as the discriminator sees them: in [-1, 1].

    With `dequantize`, noise from U(0, 1/128), about one of the 256 levels, is added.
    """
    real = images.to_float(image, low=-1)
    if not config.dequantize:
        return real
    return real + rng.uniform(key, len(real), real.shape[1:], axis_name) / 128


def _earlier_updates(gan: Gan, state: GanState, real, label, key):
    """All updates of D in a step but the last: (d_variables, d_opt_state, real, label).

    `real` and `label` are what is left for the last one. Update r takes every n_dis-th image from
    r on, so that a device which holds a part of the images holds a part of each update's, and none
    have to move. The generated images are of latents of their own. Their batch statistics are
    dropped, so that the generator's running ones follow its own updates only.
    """
    n_dis = gan.config.n_dis
    if len(real) % n_dis:
        raise UserError(
            f"train.batch_size={gan.config.train.batch_size} does not divide over the devices: "
            "make it a multiple of their number"
        )
    real = jnp.moveaxis(real.reshape(-1, n_dis, *real.shape[1:]), 1, 0)
    label = label.reshape(-1, n_dis).T
    g_variables = with_params(state.generator, state.generator["params"])

    def update(carry, x):
        real, label, i = x
        key_z, key_penalty = jax.random.split(jax.random.fold_in(key, i))
        z = rng.normal(key_z, len(real), (gan.config.model.latent,), gan.axis_name)
        fake, _ = apply(gan.G, g_variables, z, label)
        return update_discriminator(gan, *carry, real, fake, label, key_penalty)[:2], None

    # One loop, so that compiling takes as long for many updates as for one.
    d = state.discriminator, state.discriminator_optimizer
    d, _ = jax.lax.scan(update, d, (real[:-1], label[:-1], jnp.arange(n_dis - 1)))
    return *d, real[-1], label[-1]
