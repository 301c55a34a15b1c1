"""The VAE task: an encoder and a decoder that maximise the evidence lower bound."""

from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from genjax import images, rng
from genjax.config import choose
from genjax.devices import gather_params, pmean
from genjax.errors import UserError
from genjax.nn import compute_type
from genjax.task import Inputs, Task
from genjax.vae import conv, losses, mlp
from genjax.vae.binarize import BINARIZE

# Each makes (encoder, decoder) for images of shape (H, W, C).
NETWORKS = {"mlp": mlp.networks, "conv": conv.networks}
LIKELIHOODS = {"bernoulli": False, "gaussian": True}  # whether it is Gaussian

_COLUMNS = 8  # of the pictures


@flax.struct.dataclass
class VaeState:
    """Everything that a resume needs.

    Attributes:
      step: i32[], rounds done.
      encoder, decoder: Linen variables; the decoder's `params` may hold `log_sigma`, f32[].
      optimizer: the optax state, of both networks' parameters.
    """

    step: jax.Array
    encoder: Any
    decoder: Any
    optimizer: Any


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "vae"."""
    model, shape = config.model, inputs.dataset.shape
    networks = choose("model.name", model.name, NETWORKS)
    make = partial(networks, model, shape, dtype=compute_type(config.precision))
    gaussian = choose("likelihood", config.likelihood, LIKELIHOODS)
    prepare = choose("binarize", config.binarize, BINARIZE)
    if gaussian and config.binarize != "grey":
        raise UserError("likelihood='gaussian' is of grey levels: set binarize=grey")
    optimizer = optax.adam(config.optimizer.learning_rate)

    def init(key, constants):
        encoder, decoder = make()
        key_e, key_d = jax.random.split(key)
        e = encoder.init(key_e, jnp.zeros((1, *shape)), train=True)
        d = decoder.init(key_d, jnp.zeros((1, model.latent)), train=True)
        if gaussian:
            d["params"]["log_sigma"] = jnp.float32(0)
        return VaeState(jnp.int32(0), e, d, optimizer.init((e["params"], d["params"])))

    def decode(variables, z, train, axis_name=None, **options):
        """The decoder's answer f32[B, H, W, C] and its log sigma, which may be unused."""
        _, decoder = make(axis_name=axis_name)
        params = dict(variables["params"])
        log_sigma = params.pop("log_sigma", None)
        return decoder.apply(variables | {"params": params}, z, train=train, **options), log_sigma

    def pieces(x, answer, log_sigma, z_mean, z_log_variance):
        """{name: f32[B]}, in nats: the negative ELBO is the sum of the other two."""
        if gaussian:
            likelihood = losses.gaussian_log_likelihood(x, answer, log_sigma)
        else:
            likelihood = losses.bernoulli_log_likelihood(x, answer)
        kl = losses.kl_to_standard_normal(z_mean, z_log_variance)
        return {"negative_elbo": kl - likelihood, "reconstruction": -likelihood, "kl": kl}

    def step(state, batch, key, axis_name):
        encoder, _ = make(axis_name=axis_name)
        key_x, key_z = jax.random.split(key)
        x = prepare(batch, key_x, axis_name)
        noise = rng.normal(key_z, len(x), (model.latent,), axis_name)

        def loss(params):
            params = gather_params(params)
            moments, e_updated = encoder.apply(
                state.encoder | {"params": params[0]}, x, train=True, mutable=["batch_stats"]
            )
            z = moments[0] + jnp.exp(0.5 * moments[1]) * noise
            (answer, d_updated), log_sigma = decode(
                state.decoder | {"params": params[1]},
                z,
                True,
                axis_name,
                mutable=["batch_stats"],
            )
            metrics = jax.tree.map(jnp.mean, pieces(x, answer, log_sigma, *moments))
            return metrics["negative_elbo"], (metrics, e_updated, d_updated)

        params = (state.encoder["params"], state.decoder["params"])
        grads, (metrics, e_updated, d_updated) = jax.grad(loss, has_aux=True)(params)
        grads = pmean(grads, axis_name)
        updates, optimizer_state = optimizer.update(grads, state.optimizer)
        e_params, d_params = optax.apply_updates(params, updates)
        state = VaeState(
            step=state.step + 1,
            encoder={"params": e_params} | e_updated,
            decoder={"params": d_params} | d_updated,
            optimizer=optimizer_state,
        )
        return state, metrics | {"grad_norm": optax.tree.norm(grads)}

    def encode(state, x):
        return make()[0].apply(state.encoder, x, train=False)

    def picture(state, z):
        """u8[B, H, W, C]: the most likely picture of each latent."""
        answer, _ = decode(state.decoder, z, train=False)
        return images.to_uint8(answer if gaussian else jax.nn.sigmoid(answer), low=0)

    def evaluate(state, batch, key):
        """The ELBO with one sample of z per example, in nats."""
        key_x, key_z = jax.random.split(key)
        x = prepare(batch, key_x)
        z_mean, z_log_variance = encode(state, x)
        z = z_mean + jnp.exp(0.5 * z_log_variance) * rng.normal(key_z, len(x), (model.latent,))
        answer, log_sigma = decode(state.decoder, z, train=False)
        return pieces(x, answer, log_sigma, z_mean, z_log_variance)

    def sample(state, key, n):
        return picture(state, rng.normal(key, n, (model.latent,)))

    def pictures(state, batch, key):
        """Held-out images with their reconstructions below, and walks between pairs of them."""
        x = prepare(batch, key)
        rows = len(x) // _COLUMNS
        z, _ = encode(state, x)
        pairs = jnp.stack(
            [
                images.to_uint8(each[: rows * _COLUMNS], low=0).reshape(rows, _COLUMNS, *shape)
                for each in (x, picture(state, z).astype(jnp.float32) / 255)
            ],
            axis=1,
        )
        share = jnp.linspace(0, 1, _COLUMNS)[None, :, None]
        walked = min(_COLUMNS, len(z) // 2)
        ends = z[:: len(z) // (2 * walked)][: 2 * walked].reshape(2, walked, 1, model.latent)
        walks = (1 - share) * ends[0] + share * ends[1]
        return {
            "reconstructions": pairs.reshape(2 * rows, _COLUMNS, *shape),
            "interpolations": picture(state, walks.reshape(-1, model.latent)).reshape(
                -1, _COLUMNS, *shape
            ),
        }

    return Task(
        init,
        step,
        config.train.batch_size,
        evaluate=evaluate,
        sample=sample,
        pictures=pictures,
    )
