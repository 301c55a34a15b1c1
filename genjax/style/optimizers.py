"""Optimisers of one picture. An iteration and its line search are one compiled program."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax

_FAILURES = 2  # line searches in a row, after which a picture is at its minimum, to rounding


@flax.struct.dataclass
class Iterate:
    """A picture under optimisation, and the state of its optimiser.

    Attributes:
      image: f32[H, W, 3].
      value, gradient: f32[] and f32[H, W, 3], of the objective at `image`.
      optimizer: the optax state.
      evaluations: i32[], how often objective and gradient were computed.
      failures: i32[], line searches that found no better point; failures_in_a_row: i32[], how many
        of them since the last that did.
    """

    image: jax.Array
    value: jax.Array
    gradient: jax.Array
    optimizer: Any
    evaluations: jax.Array
    failures: jax.Array
    failures_in_a_row: jax.Array

    @property
    def ended(self) -> jax.Array:
        """bool[], whether the picture stays as it is from now on.

        A search that fails after one from the plain gradient has failed as well will not succeed
        later: nothing that it depends on changes.
        """
        return self.failures_in_a_row >= _FAILURES


class PictureOptimizer(NamedTuple):
    """`init(objective, image) -> Iterate` and `step(objective, Iterate) -> Iterate`.

    `objective` maps f32[H, W, 3] to f32[].
    """

    init: Callable[..., Iterate]
    step: Callable[..., Iterate]


def _start(optimizer):
    def init(objective, image):
        value, gradient = jax.value_and_grad(objective)(image)
        counts = jnp.int32(1), jnp.int32(0), jnp.int32(0)
        return Iterate(image, value, gradient, optimizer.init(image), *counts)

    return init


def lbfgs(config) -> PictureOptimizer:
    """L-BFGS with a zoom line search: Nocedal and Wright 2006, algorithms 7.5, 3.5 and 3.6.

    Near a minimum, rounding in float32 can make a line search find no better point. The picture
    then stays as it is, the history that gave the search direction is dropped, and the failure is
    counted; two in a row end the optimisation, and further steps evaluate nothing. In a line
    search, points where the objective is not finite count as too far away. Where it is not finite
    at the picture itself, neither are the value and gradient that are returned.

    Of `config`, `memory` is read: how many steps of history the Hessian is approximated from.
    """
    optimizer = optax.lbfgs(memory_size=config.memory)

    def step(objective, at: Iterate) -> Iterate:
        updates, state = optimizer.update(
            at.gradient,
            at.optimizer,
            at.image,
            value=at.value,
            grad=at.gradient,
            value_fn=objective,
        )
        # The line search has computed value and gradient at its last point already.
        value, gradient, info = (optax.tree.get(state, name) for name in ("value", "grad", "info"))
        evaluations = at.evaluations + info.num_linesearch_steps

        def restart():
            # A search that ends at a non-finite value had a useless direction, or the objective is
            # not finite at the picture either. Evaluating it there tells: without that, a broken
            # objective would count as a failed search, and the NaN would never be seen.
            lost = ~jnp.isfinite(info.decrease_error)
            value, gradient = jax.lax.cond(
                lost,
                lambda: jax.value_and_grad(objective)(at.image),
                lambda: (at.value, at.gradient),
            )
            return Iterate(
                at.image,
                value,
                gradient,
                optimizer.init(at.image),
                evaluations + lost,
                at.failures + 1,
                at.failures_in_a_row + 1,
            )

        return jax.lax.cond(
            value < at.value,
            lambda: Iterate(
                optax.apply_updates(at.image, updates),
                value,
                gradient,
                state,
                evaluations,
                at.failures,
                jnp.int32(0),
            ),
            restart,
        )

    def step_if_not_ended(objective, at: Iterate) -> Iterate:
        return jax.lax.cond(at.ended, lambda: at, lambda: step(objective, at))

    return PictureOptimizer(_start(optimizer), step_if_not_ended)


def adam(config) -> PictureOptimizer:
    """Adam: Kingma and Ba 2015, arXiv:1412.6980. Of `config`, `learning_rate` is read."""
    optimizer = optax.adam(config.learning_rate)

    def step(objective, at: Iterate) -> Iterate:
        updates, state = optimizer.update(at.gradient, at.optimizer)
        image = optax.apply_updates(at.image, updates)
        value, gradient = jax.value_and_grad(objective)(image)
        return at.replace(
            image=image,
            value=value,
            gradient=gradient,
            optimizer=state,
            evaluations=at.evaluations + 1,
        )

    return PictureOptimizer(_start(optimizer), step)


OPTIMIZERS = {"lbfgs": lbfgs, "adam": adam}
