"""FactorVAE's discriminator: it tells latents from those whose dimensions were mixed.

Kim and Mnih 2018, arXiv:1802.05983. Latents that are permuted over a batch, each dimension in its
own order, are draws of the product of q(z_j). A classifier that tells them from draws of q(z) knows
the ratio of both densities, whose logarithm has the total correlation for its mean.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from genjax.devices import gather_params, pmean
from genjax.errors import UserError
from genjax.nn import compute_type, descend
from genjax.vae.total_correlation import DISCRIMINATOR, of_all


class Discriminator(nn.Module):
    """f32[B, L] -> logits f32[B, 2], of latents as they are (0) and of mixed ones (1).

    Attributes:
      width, layers: of the dense layers with LeakyReLU 0.2 after them.
    """

    width: int
    layers: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z):
        # As the layers of TensorFlow, in which google-research/disentanglement_lib has it.
        init = nn.initializers.glorot_uniform()
        for _ in range(self.layers):
            z = nn.Dense(self.width, dtype=self.dtype, kernel_init=init)(z)
            z = nn.leaky_relu(z, 0.2)
        return nn.Dense(2, dtype=self.dtype, kernel_init=init)(z).astype(jnp.float32)


@flax.struct.dataclass
class JudgeState:
    """The discriminator's `params` and the state of its `optimizer`."""

    params: Any
    optimizer: Any


class Judge(NamedTuple):
    """A discriminator of latents, and how it learns."""

    network: Discriminator
    optimizer: optax.GradientTransformation

    def init(self, key, latent: int) -> JudgeState:
        """That of latents f32[B, latent]."""
        params = self.network.init(key, jnp.zeros((1, latent)))["params"]
        return JudgeState(params, self.optimizer.init(params))

    def logits(self, params, z):
        """f32[B, 2] of z f32[B, L]."""
        return self.network.apply({"params": gather_params(params)}, z)

    def total_correlation(self, state: JudgeState, z):
        """log q(z) - sum over j of log q(z_j) f32[B], in nats, as the discriminator judges."""
        logits = self.logits(state.params, z)
        return logits[:, 0] - logits[:, 1]

    def learned(self, state: JudgeState, z, mixed, axis_name=None):
        """(the state after an update, its loss f32[]), by latents and mixed ones, f32[B, L] each.

        The loss is half the cross-entropy of each (Algorithm 2).
        """

        def loss(params):
            right = self.logits(params, z), self.logits(params, mixed)
            log_shares = [jax.nn.log_softmax(x)[:, i].mean() for i, x in enumerate(right)]
            return -0.5 * (log_shares[0] + log_shares[1])

        value, grads = jax.value_and_grad(loss)(state.params)
        params, optimizer = descend(
            self.optimizer, pmean(grads, axis_name), state.optimizer, state.params
        )
        return JudgeState(params, optimizer), value


def of(config) -> Judge | None:
    """The judge of a config whose bound has one; None where it has another estimator.

    Raises:
      UserError: the config has no `discriminator`, or nothing that needs it.
    """
    asked, options = config.bound.estimator == DISCRIMINATOR, config.get("discriminator")
    if asked != (options is not None):
        raise UserError(
            f"bound.estimator={config.bound.estimator!r} is not this config's:"
            f" {DISCRIMINATOR!r} is of configs/factor_vae.py, the others of configs/tcvae.py"
        )
    if not asked:
        return None
    network = Discriminator(options.width, options.layers, compute_type(config.precision))
    return Judge(network, optax.adam(options.learning_rate, options.b1, options.b2))


def halves(batch) -> tuple[dict, dict]:
    """Two batches of one: its examples in turn, so that each device keeps its own."""
    return tuple({name: x[i::2] for name, x in batch.items()} for i in (0, 1))


def mixed(z, key, axis_name=None):
    """f32[B, L]: latents f32[B, L], each dimension in an order of its own over the whole batch.

    Args:
      axis_name: the mapped axis, where B are this device's: the batch is that of all, so that it is
        the same on any number of devices.
    """
    first = 0
    if axis_name is not None:
        first = jax.lax.axis_index(axis_name) * len(z)
        whole = of_all(z, first, axis_name)
    else:
        whole = z
    keys = jax.random.split(key, z.shape[1])
    orders = jax.vmap(lambda k: jax.random.permutation(k, len(whole)), out_axes=1)(keys)
    own = jax.lax.dynamic_slice_in_dim(orders, first, len(z))
    return jnp.take_along_axis(whole, own, axis=0)
