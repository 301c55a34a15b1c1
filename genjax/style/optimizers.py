"""Optimisers of one picture. An iteration and its line search are one compiled program."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax

from genjax.style import line_search, scales

_FAILURES = 2  # line searches in a row, after which a picture is at its minimum, to rounding


@flax.struct.dataclass
class Iterate:
    """A picture under optimisation, and the state of its optimiser.

    Attributes:
      image: f32[H, W, 3].
      value, gradient: f32[] and f32[H, W, 3], of the objective at `image`.
      optimizer: the optax state.
      evaluations: i32[], how often objective and gradient were computed, of this size of picture.
      average: f32[H, W, 3], a running mean of the pictures from the first on; None if none is kept.
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
    average: jax.Array | None = None

    @property
    def shown(self) -> jax.Array:
        """The result: the average, or else the picture itself."""
        return self.image if self.average is None else self.average

    @property
    def ended(self) -> jax.Array:
        """bool[], whether the picture stays as it is from now on.

        A search that fails after one from the plain gradient has failed as well will not succeed
        later: nothing that it depends on changes.
        """
        return self.failures_in_a_row >= _FAILURES


class PictureOptimizer(NamedTuple):
    """`init(objective, image) -> Iterate` and `step(objective, Iterate) -> Iterate`.

    `carry(objective, Iterate, height, width) -> Iterate` begins at another size with the result at
    the size before. `objective` maps f32[H, W, 3] to f32[].
    """

    init: Callable[..., Iterate]
    step: Callable[..., Iterate]
    carry: Callable[..., Iterate]


def _start(optimizer):
    def init(objective, image):
        value, gradient = jax.value_and_grad(objective)(image)
        counts = jnp.int32(1), jnp.int32(0), jnp.int32(0)
        return Iterate(image, value, gradient, optimizer.init(image), *counts)

    return init


class _Line(NamedTuple):
    """A search along a line, and the gradients f32[H, W, 3] that its points have.

    Attributes:
      newest, safe: of the search's points of these names.
      lost: bool[], whether the objective is to be evaluated at the picture itself; value, gradient:
        those there.
    """

    search: line_search.Search
    newest: jax.Array
    safe: jax.Array
    lost: jax.Array
    value: jax.Array
    gradient: jax.Array


def lbfgs(config) -> PictureOptimizer:
    """L-BFGS (Nocedal and Wright 2006, algorithm 7.5) with a line search (`line_search`).

    Near a minimum, rounding in float32 can make a line search find no better point. The picture
    then stays as it is, the history that gave the search direction is dropped, and the failure is
    counted; two in a row end the optimisation, and further steps evaluate nothing. In a line
    search, points where the objective is not finite count as too far away. Where it is not finite
    at the picture itself, neither are the value and gradient that are returned.

    Of `config`, `memory` is read: how many steps of history the Hessian is approximated from. At
    another size it begins without history, whose steps are of the other objective.
    """
    optimizer = optax.chain(optax.scale_by_lbfgs(config.memory), optax.scale(-1.0))
    init = _start(optimizer)

    def carry(objective, before: Iterate, height: int, width: int) -> Iterate:
        return init(objective, scales.bicubic(before.shown, height, width))

    def searched(objective, at: Iterate, direction) -> _Line:
        """The ended search along `direction` f32[H, W, 3]."""

        def evaluate(line: _Line) -> _Line:
            step = line_search.next_step(line.search)
            # Not with a step of 0: a useless direction has entries that are not finite.
            image = jnp.where(line.lost, at.image, at.image + step * direction)
            value, gradient = jax.value_and_grad(objective)(image)
            new = line_search.Point(step, value, jnp.vdot(gradient, direction))
            search = line_search.take(line.search, new)
            is_safe = search.safe.step == step
            on_the_way = _Line(
                search,
                gradient,
                jnp.where(is_safe, gradient, line.safe),
                # Its direction was useless, or the objective is not finite at the picture either.
                # Evaluating it there tells: without that, a broken objective would count as a
                # failed search, and never be seen.
                search.is_lost,
                at.value,
                at.gradient,
            )
            back = line._replace(lost=jnp.bool_(False), value=value, gradient=gradient)
            return jax.tree.map(partial(jnp.where, line.lost), back, on_the_way)

        search = line_search.begin(at.value, jnp.vdot(at.gradient, direction))
        given = (at.gradient, at.gradient, jnp.bool_(False), at.value, at.gradient)
        return jax.lax.while_loop(
            lambda line: ~line.search.ended | line.lost, evaluate, _Line(search, *given)
        )

    def step(objective, at: Iterate) -> Iterate:
        direction, state = optimizer.update(at.gradient, at.optimizer, at.image)
        line = searched(objective, at, direction)
        search, safe = line.search, line.search.takes_safe
        found = jax.tree.map(partial(jnp.where, safe), search.safe, search.newest)
        better = found.value < at.value
        moved = at.replace(
            image=at.image + found.step * direction,
            value=found.value,
            gradient=jnp.where(safe, line.safe, line.newest),
            optimizer=state,
            failures_in_a_row=jnp.int32(0),
        )
        stayed = at.replace(
            value=line.value,
            gradient=line.gradient,
            optimizer=optimizer.init(at.image),
            failures=at.failures + 1,
            failures_in_a_row=at.failures_in_a_row + 1,
        )
        after = jax.tree.map(partial(jnp.where, better), moved, stayed)
        return after.replace(evaluations=at.evaluations + search.evaluations + search.is_lost)

    def step_if_not_ended(objective, at: Iterate) -> Iterate:
        return jax.lax.cond(at.ended, lambda: at, lambda: step(objective, at))

    return PictureOptimizer(init, step_if_not_ended, carry)


def adam(config) -> PictureOptimizer:
    """Adam: Kingma and Ba 2015, arXiv:1412.6980.

    Of `config`, `learning_rate`, `b1`, `b2`, `clamp` and `average` are read
    (`genjax.style_keys`). The running mean is Adam's, free of the bias to its start.

    At another size, as in Crowson's style-transfer-pytorch, it begins with the result and with
    Adam's moments, resized, and with its count of steps; the running mean begins anew.
    """
    optimizer = optax.adam(config.learning_rate, config.b1, config.b2)
    start, decay = _start(optimizer), config.average

    def init(objective, image) -> Iterate:
        at = start(objective, image)
        return at.replace(average=image) if decay else at

    def carry(objective, before: Iterate, height: int, width: int) -> Iterate:
        image = scales.bicubic(before.shown, height, width)
        at = init(objective, jnp.clip(image, 0.0, 1.0) if config.clamp else image)
        moments, *rest = before.optimizer
        first = scales.bicubic(moments.mu, height, width)
        second = jax.nn.relu(scales.bilinear(moments.nu, height, width))
        return at.replace(optimizer=(moments._replace(mu=first, nu=second), *rest))

    def averaged(at: Iterate, image) -> jax.Array | None:
        if not decay:
            return None
        pictures = (at.evaluations + 1).astype(jnp.float32)  # `image` and those before it
        return at.average + (1 - decay) / (1 - decay**pictures) * (image - at.average)

    def step(objective, at: Iterate) -> Iterate:
        updates, state = optimizer.update(at.gradient, at.optimizer)
        image = optax.apply_updates(at.image, updates)
        if config.clamp:
            image = jnp.clip(image, 0.0, 1.0)
        value, gradient = jax.value_and_grad(objective)(image)
        return at.replace(
            image=image,
            value=value,
            gradient=gradient,
            optimizer=state,
            evaluations=at.evaluations + 1,
            average=averaged(at, image),
        )

    return PictureOptimizer(init, step, carry)


def metrics(at: Iterate) -> dict[str, jax.Array]:
    """{name: f32[]}, what a step's line of metrics says of a picture."""
    return {
        "loss": at.value,
        "grad_norm": optax.tree.norm(at.gradient),
        "evaluations": at.evaluations.astype(jnp.float32),
        "line_search_failures": at.failures.astype(jnp.float32),
    }


OPTIMIZERS = {"lbfgs": lbfgs, "adam": adam}
