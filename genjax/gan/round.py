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
      step: i32[], steps done, without those that `train.on_nonfinite="skip"` undid.
      generator, discriminator: their Linen variables: `params` and, if the network has them,
        `batch_stats` and `spectral` (the vectors of spectral norms).
      average: exponential moving average of the generator's variables, BatchNorm's running
        statistics included; samples are drawn with it.
      generator_optimizer, discriminator_optimizer: their optax states.
    """

    step: jax.Array
    generator: Any
    discriminator: Any
    average: Any
    generator_optimizer: Any
    discriminator_optimizer: Any


class Gan(NamedTuple):
    """The networks, losses and options of a training step, which training does not change.

    Attributes:
      config: of the run; `n_dis`, `generator_batch`, `dequantize`, `model.latent`,
        `train.batch_size` and `ema` are read.
      G: the generator, `(z f32[B, latent], label i32[B], train) -> images f32[B, H, W, C]` in
        [-1, 1]; in training it may draw from Linen's random stream `noise`.
      D: the discriminator, `(images, label, train) -> logits f32[B]`, or a tuple that begins with
        them.
      discriminator_f32: D in float32 whatever `precision` is, for the regularizer.
      loss: those of G and D.
      regularizer: of D (`genjax.gan.regularizers`), or None; weight: its factor.
      g_optimizer, d_optimizer: of their parameters.
      axis_name: the mapped axis if a step sees one device's shard; None for the global batch.
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
    """One training step: (new state, metrics).

    Metrics, f32[] each: `g_loss`, `g_grad_norm` and, of the discriminator's last update, those of
    `update_discriminator`.

    Args:
      image: u8[n_dis * b, H, W, C], label: i32[n_dis * b]: this device's share of real images.
      key: of this step.

    Raises:
      UserError: the device's share does not split into `n_dis` equal batches.
    """
    config = gan.config
    key_z, key_real, key_penalty, key_earlier, key_noise = jax.random.split(key, 5)
    real = preprocess_real(config, image, key_real, len(image), gan.axis_name)
    d_variables, d_opt_state = state.discriminator, state.discriminator_optimizer
    if config.n_dis > 1:
        d_variables, d_opt_state, real, label = _earlier_updates(
            gan, state, real, label, key_earlier
        )

    # Generated images. One pass of G serves both updates: `backward` gives G's gradients below.
    g_label = jnp.repeat(label, config.generator_batch)
    z = rng.normal(key_z, len(g_label), (config.model.latent,), gan.axis_name)

    def generate(params):
        variables = with_params(state.generator, params)
        return apply(gan.G, variables, z, g_label, rngs={"noise": key_noise})

    fake, backward, g_variables = jax.vjp(generate, state.generator["params"], has_aux=True)

    # Discriminator: one update on the real images and an equal number of generated ones.
    beside_real = fake.reshape(len(real), config.generator_batch, *real.shape[1:])[:, 0]
    d_variables, d_opt_state, metrics = update_discriminator(
        gan, d_variables, d_opt_state, real, beside_real, label, key_penalty
    )

    # Generator: one update, against the updated discriminator.
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

    # Average of the generator: its half-life counts `train.batch_size` images a step.
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
    """One update of D on b real and b generated images: (variables, opt_state, metrics).

    Metrics, f32[] each: `d_loss` without the penalty, `penalty` (weighted; if there is one),
    `d_grad_norm`, `d_real` and `d_fake`: the shares of real and generated images with logits > 0
    (the boundary of "least_squares" is 0.5, and "wasserstein" has none).

    Args:
      real, fake: f32[b, H, W, C] in [-1, 1]; label: i32[b], of both.
      key: of the regularizer.
    """

    def d_loss(params):
        # Spectral norms step the power method in the first application only, so that real images,
        # generated ones and the penalty are judged by the same kernels.
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


def preprocess_real(config: ConfigDict, image, key, examples, axis_name: str | None = None):
    """Real images as the discriminator sees them: u8[B, H, W, C] -> f32[B, H, W, C] in [-1, 1].

    With `dequantize`, noise of one of the 256 levels is added (`images.dequantize`), as in the code
    of SNGAN's authors. `examples` and `axis_name` are those of `rng.example_keys`.
    """
    if not config.dequantize:
        return images.to_float(image, low=-1)
    return images.dequantize(image, rng.uniform(key, examples, image.shape[1:], axis_name))


def to_pictures(config: ConfigDict, generated):
    """Generated images f32[B, H, W, C] in [-1, 1] as u8; the inverse of `preprocess_real`."""
    return images.quantize(generated) if config.dequantize else images.to_uint8(generated, low=-1)


def _earlier_updates(gan: Gan, state: GanState, real, label, key):
    """All updates of D in a step but the last: (d_variables, d_opt_state, real, label).

    The `real` and `label` returned are those of the last update, f32[b, H, W, C] and i32[b]. Update
    r takes every n_dis-th image from r on: each device then has its share of every update's batch,
    and no image moves between devices. Each update draws its own latents. Changes to G's
    `batch_stats` are dropped: only the generator's own update changes them.
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
        key_z, key_penalty, key_noise = jax.random.split(jax.random.fold_in(key, i), 3)
        z = rng.normal(key_z, len(real), (gan.config.model.latent,), gan.axis_name)
        fake, _ = apply(gan.G, g_variables, z, label, rngs={"noise": key_noise})
        return update_discriminator(gan, *carry, real, fake, label, key_penalty)[:2], None

    # A scan, so that compile time does not grow with n_dis.
    d = state.discriminator, state.discriminator_optimizer
    d, _ = jax.lax.scan(update, d, (real[:-1], label[:-1], jnp.arange(n_dis - 1)))
    return *d, real[-1], label[-1]
