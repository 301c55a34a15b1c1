"""The task of very deep VAEs (Child 2021, arXiv:2011.10650), trained as by openai/vdvae."""

import math
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from genjax import images, rng
from genjax.devices import gather_params, pmean
from genjax.nn import backend, compute_type
from genjax.task import Inputs, Task
from genjax.vae import logistics, vdvae
from genjax.vae.rows import above


@flax.struct.dataclass
class VdvaeState:
    """Everything that a resume needs.

    Attributes:
      step: i32[], steps done, with those that left the networks as they were because of their
        gradient, and without those that `train.on_nonfinite="skip"` undid.
      encoder, decoder: their Linen variables.
      average: (encoder's, decoder's) moving averages, which are evaluated and drawn from.
      optimizer: the optax state, of all parameters.
    """

    step: jax.Array
    encoder: Any
    decoder: Any
    average: Any
    optimizer: Any


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "vdvae".

    Raises:
      UserError: the networks are none, or cannot take images of this shape.
    """
    model, shape = config.model, inputs.dataset.shape
    channels, dimensions = shape[-1], math.prod(shape)
    encoder, decoder = vdvae.networks(model, shape, dtype=compute_type(config.precision))
    optimizer = optax.chain(
        optax.scale_by_adam(config.optimizer.b1, config.optimizer.b2),
        optax.add_decayed_weights(config.optimizer.weight_decay),
    )

    def prepared(image):
        """Pixels as the encoder sees them, of the data's own levels."""
        return (image.astype(jnp.float32) - config.input.mean) / config.input.deviation

    @backend.native()
    def init(key, constants):
        key_e, key_d = jax.random.split(key)
        e = encoder.init(key_e, jnp.zeros((1, *shape)))
        seen = jax.eval_shape(lambda: encoder.apply(e, jnp.zeros((1, *shape))))
        seen = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), seen)
        d = decoder.init(key_d, jnp.zeros((1, decoder.numbers)), seen)
        return VdvaeState(jnp.int32(0), e, d, (e, d), optimizer.init((e, d)))

    def terms_of(variables, image, noise):
        """(-log p(x | z) f32[B] in nats, `vdvae.Latent`, mixtures of each pixel).

        Args:
          variables: (encoder's, decoder's).
          image: u8[B, H, W, C].
          noise: f32[B, numbers], standard normal, of one sample of the posterior.
        """
        e, d = variables
        outputs, said = decoder.apply(d, noise, encoder.apply(e, prepared(image)))
        mixture = logistics.read(outputs, model.mixtures, channels)
        distortion = -logistics.log_prob(mixture, images.to_float(image, low=-1)).sum((1, 2))
        return distortion, said, mixture

    def per_dimension(distortion, rate):
        """{name: f32[B]}: nats of a dimension, and bits of their sum."""
        distortion, rate = distortion / dimensions, rate / dimensions
        bits = (distortion + rate) / math.log(2)
        return {"bits_per_dim": bits, "distortion": distortion, "rate": rate}

    def step(state, batch, key, axis_name):
        noise = rng.normal(key, len(batch["image"]), (decoder.numbers,), axis_name)

        def loss(variables):
            distortion, said, _ = terms_of(gather_params(variables), batch["image"], noise)
            values = jax.tree.map(jnp.mean, per_dimension(distortion, said.kl))
            return values["distortion"] + values["rate"], values

        variables = state.encoder, state.decoder
        (total, metrics), grads = jax.value_and_grad(loss, has_aux=True)(variables)
        total, grads = pmean((total, grads), axis_name)
        after, norm, skipped = updated(config, optimizer, state, total, grads)
        return after, metrics | {"grad_norm": norm, "skipped": skipped}

    @backend.native()
    def evaluate(state, batch, key):
        noise = rng.normal(key, batch["index"], (decoder.numbers,))
        distortion, said, _ = terms_of(state.average, batch["image"], noise)
        return per_dimension(distortion, said.kl)

    def log_weights(state, batch, key, samples):
        """`Task.log_weights`; one sample after the other, as each is as large as the networks."""
        keys = rng.example_keys(key, batch["index"])

        def of(sample):
            noise = jax.vmap(lambda k: rng.normal(k, sample[None], (decoder.numbers,))[0])(keys)
            distortion, said, _ = terms_of(state.average, batch["image"], noise)
            return said.log_ratio - distortion

        return jax.lax.map(of, samples).T

    def drawn(mixture, key, index):
        """u8[n, H, W, C], a sample of each picture's pixels."""
        x = jax.vmap(logistics.sample)(mixture, rng.example_keys(key, index))
        return images.to_uint8(x, low=-1)

    @backend.native()
    def sample(state, key, index):
        key_z, key_x = jax.random.split(key)
        noise = rng.normal(key_z, index, (decoder.numbers,))
        log_temperature = math.log(config.sample.temperature)
        outputs, _ = decoder.apply(state.average[1], noise, None, log_temperature)
        return drawn(logistics.read(outputs, model.mixtures, channels), key_x, index)

    @backend.native()
    def pictures(state, batch, key):
        """Rows of held-out images, each above its reconstructions: a sample of the posterior's
        latents, and of the pixels that follow from them."""
        key_z, key_x = jax.random.split(key)
        image, index = batch["image"], batch["index"]
        noise = rng.normal(key_z, index, (decoder.numbers,))
        found = drawn(terms_of(state.average, image, noise)[2], key_x, index)
        return {"reconstructions": above(image, found)}

    return Task(
        init,
        step,
        config.train.batch_size,
        evaluate=evaluate,
        log_weights=log_weights,
        sample=sample,
        sampled_with={"parameters": "average", "batch_norm": "running"},
        pictures=pictures,
        networks=("encoder", "decoder"),
    )


def updated(config, optimizer: optax.GradientTransformation, state: VdvaeState, loss, grads):
    """(the state after an update by AdamW, the gradient's norm f32[], skipped f32[]).

    The gradient is clipped to a norm of `optimizer.clip`. Where it is `optimizer.skip` or more
    before that, or the loss is not finite, `skipped` is 1, and only the count of steps changes. The
    rate rises with that count, from 0 in the first step, as by the authors' schedule.

    Args:
      loss: f32[]; grads: as (state.encoder, state.decoder).
    """
    options, variables = config.optimizer, (state.encoder, state.decoder)
    norm = optax.tree.norm(grads)
    grads = optax.tree.scale(jnp.minimum(1.0, options.clip / (norm + 1e-6)), grads)
    direction, opt_state = optimizer.update(grads, state.optimizer, variables)
    warm = jnp.minimum(1.0, state.step / options.warmup) if options.warmup else 1.0
    moved = jax.tree.map(lambda x, u: x - options.learning_rate * warm * u, variables, direction)
    average = optax.incremental_update(moved, state.average, 1 - config.ema.decay)
    good = jnp.isfinite(loss) & (norm < options.skip)
    encoder, decoder = moved
    after = state.replace(encoder=encoder, decoder=decoder, average=average, optimizer=opt_state)
    after = jax.tree.map(lambda new, old: jnp.where(good, new, old), after, state)
    return after.replace(step=state.step + 1), norm, 1 - good.astype(jnp.float32)
