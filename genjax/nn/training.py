"""What the training steps of all families share: apply a network, and update its parameters."""

from collections.abc import Callable

import jax
import optax

from genjax.devices import gather_params, pmean
from genjax.errors import UserError


def apply(network, variables, *inputs, train=True, mutable=("batch_stats",), **options):
    """(y, variables): what `network` makes of `inputs`, and its variables after that.

    Args:
      network: a Linen module, called with `inputs` and `train`.
      variables: {collection: arrays}.
      train: whether BatchNorm uses the statistics of the batch, and updates its running ones.
      mutable: the collections that change when `train` is true; the others are as they were.
      options: of training alone, such as `rngs`, {name: key} of Linen's random streams, for a
        network that draws from them.
    """
    if not train:
        return network.apply(variables, *inputs, train=False), variables
    y, updated = network.apply(variables, *inputs, train=True, mutable=list(mutable), **options)
    return y, variables | updated


def with_params(variables, params):
    """`variables` with these `params`, which `fsdp` all-gathers first (`devices.gather_params`)."""
    return variables | {"params": gather_params(params)}


def check_lasts(config, decay: str) -> None:
    """Checks that a falling learning rate is not 0 before the last step.

    Args:
      decay: the key of `config.optimizer` that says after how many steps it is 0.

    Raises:
      UserError: `train.steps` is more than that.
    """
    steps, end = config.train.steps, config.optimizer[decay]
    if steps > end:
        raise UserError(
            f"train.steps={steps} goes on after the learning rate is 0, at optimizer.{decay}={end}:"
            f" set --config.optimizer.{decay}={steps} too (a run that is under way, or done, goes "
            "on with the longer schedule)"
        )


def descend(optimizer: optax.GradientTransformation, grads, opt_state, params):
    """(params, opt_state) after one update of an optimizer."""
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def updated(
    state,
    loss: Callable,
    optimizer: optax.GradientTransformation,
    parts: tuple[Callable, Callable],
    axis_name,
):
    """(the state after a step, its metrics with "grad_norm").

    Args:
      state: with the fields `step` and `optimizer`.
      loss: `(state) -> (f32[], (metrics, state))`, with what the networks remember in the state.
      parts: `(state) -> params`, what the optimizer updates, and `(state, params) -> state`.
      axis_name: the mapped axis, where the loss is that of one device's examples.
    """
    params_of, replaced = parts
    params = params_of(state)
    gradient = jax.grad(lambda params: loss(replaced(state, gather_params(params))), has_aux=True)
    grads, (metrics, after) = gradient(params)
    grads = pmean(grads, axis_name)
    params, opt_state = descend(optimizer, grads, state.optimizer, params)
    after = replaced(after, params).replace(step=state.step + 1, optimizer=opt_state)
    return after, metrics | {"grad_norm": optax.tree.norm(grads)}
