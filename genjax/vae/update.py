"""One update of all networks of a state by the gradient of one loss."""

from collections.abc import Callable

import jax
import optax

from genjax.devices import gather_params, pmean
from genjax.nn import descend


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
