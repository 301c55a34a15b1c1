"""Adam for networks whose first layer reads a whole picture at once; and Adam as in IWAE's code."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from genjax.config import choose
from genjax.errors import UserError

# Inputs up to which a dense layer has the full rate: the pixels of a digit of 28 x 28, for which
# the config's default rate was chosen.
_FULL_RATE_INPUTS = 28 * 28


def build(options, batch_size: int) -> optax.GradientTransformation:
    """The optimizer of `config.optimizer` (`genjax.vae_keys`).

    Raises:
      UserError: the name is unknown, or the drops of the rate are not in order or lack factors.
    """
    make = choose("optimizer.name", options.name, {"adam": adam, "iwae": partial(iwae, batch_size)})
    return make(_rate(options), options.b1, options.b2, options.epsilon)


def _rate(options):
    """The learning rate: a number, or a function of the updates done."""
    steps, factors = options.drops.steps, options.drops.factors
    if len(steps) != len(factors):
        raise UserError(
            f"optimizer.drops has {len(steps)} steps and {len(factors)} factors: name one for each"
        )
    if list(steps) != sorted(set(steps)):
        raise UserError(f"optimizer.drops.steps={steps} have to rise")
    if not steps:
        return options.learning_rate
    rates = options.learning_rate * jnp.array([1.0, *factors], jnp.float32)
    return lambda count: rates[jnp.sum(count >= jnp.array(steps))]


def adam(
    learning_rate, b1: float = 0.9, b2: float = 0.999, epsilon: float = 1e-8
) -> optax.GradientTransformation:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980), slower where a dense layer has many inputs.

    Adam moves every weight by about the learning rate, whatever the gradient. The outputs of a
    dense layer with n inputs of one sign, such as pixels, then move by n times the rate in one
    step: at 28 px a little, at 192 px in colour, where n is 110,592, by fifty, and the log-variance
    behind it overflows within three steps. So the kernel of such a layer learns at the rate times
    784 / n, which makes outputs move alike at every size: the rule of Yang et al. 2022
    (arXiv:2203.03466, Table 3) for Adam, a rate that is inverse to the fan-in. Up to 784 inputs
    nothing changes. docs/results.md has what was measured.

    Biases and the kernels of convolutions, whose number of inputs does not grow with the picture,
    keep the full rate, and so do layers with many outputs: each of these still has few inputs.

    Args:
      learning_rate: that of Adam, more than 0; or a function of the updates done.
      b1, b2, epsilon: Adam's.

    Returns:
      A transformation with the state of `optax.adam`.
    """
    plain = optax.adam(learning_rate, b1, b2, epsilon)

    def update(grads, state, params=None):
        updates, state = plain.update(grads, state, params)
        return jax.tree.map(_slowed, updates), state

    return optax.GradientTransformation(plain.init, update)


class IwaeState(NamedTuple):
    """Attributes: `count` i32[], updates done; `mu` and `nu`, means of gradients and of squares."""

    count: Any
    mu: Any
    nu: Any


def iwae(
    batch_size: int, learning_rate, b1: float, b2: float, epsilon: float
) -> optax.GradientTransformation:
    """Adam as the code of importance-weighted autoencoders has it (yburda/iwae, optimizers.py).

    With g the gradient of the *sum* over the batch, m and v its running means, and v = 1 before the
    first update: - rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon). So epsilon counts as
    it is, and rates are small as long as v falls from 1. Unlike `adam`, it slows no dense layer of
    more than 784 inputs: it is the authors' for digits of 28 px, and larger pictures need a smaller
    rate.

    Args:
      batch_size: how many pictures the mean loss is of, whose gradients arrive.
      learning_rate: more than 0, or a function of the updates done.
    """

    def init(params):
        zeros, ones = (jax.tree.map(like, params) for like in (jnp.zeros_like, jnp.ones_like))
        return IwaeState(jnp.int32(0), zeros, ones)

    def update(grads, state, params=None):
        grads = jax.tree.map(lambda g: batch_size * g, grads)
        mu = optax.tree.update_moment(grads, state.mu, b1, 1)
        nu = optax.tree.update_moment(grads, state.nu, b2, 2)
        rate = learning_rate(state.count) if callable(learning_rate) else learning_rate
        t = state.count + 1
        rate = rate * jnp.sqrt(1 - b2**t) / (1 - b1**t)
        updates = jax.tree.map(lambda m, v: -rate * m / (jnp.sqrt(v) + epsilon), mu, nu)
        return updates, IwaeState(t, mu, nu)

    return optax.GradientTransformation(init, update)


def rate_share(shape: tuple[int, ...]) -> float:
    """The share of the learning rate that a parameter of this shape gets, in (0, 1].

    The kernel of a dense layer is f32[inputs, features]; nothing else has two axes.
    """
    return min(1.0, _FULL_RATE_INPUTS / shape[0]) if len(shape) == 2 else 1.0


def _slowed(update):
    share = rate_share(update.shape)
    return update if share == 1 else share * update
