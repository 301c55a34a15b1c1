"""The line search against optax's, an independent implementation of the same algorithms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.style import line_search

# Objectives of a line, each with the slope and scale that make the search do something else.
OBJECTIVES = {
    "the first step will do": lambda t: jnp.square(t - 1),
    "far away": lambda t: jnp.square(t - 37.5),
    "one zoom by a parabola": lambda t: jnp.square(t - 0.07),
    "zooms by cubics": lambda t: jnp.cos(5 * t + 0.2) + 0.1 * t,
    "a kink": lambda t: jnp.abs(t - 0.3) + 0.01 * t,
    "rounding hides the decrease": lambda t: 1e6 + 1e-3 * jnp.square(t - 0.4),
    "a bound": lambda t: -jnp.log(0.05 - t) - 40 * t,
    "uphill": lambda t: t + jnp.square(t),
    "downhill for ever": lambda t: -t,
    "finite at the start only": lambda t: jnp.where(t == 0, -t, jnp.nan),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_ends_where_optax_ends(name):
    """The same number of evaluations, and the same step."""
    objective = jax.value_and_grad(OBJECTIVES[name])
    zero, one = jnp.float32(0), jnp.float32(1)
    value, slope = objective(zero)

    def evaluated(search):
        step = line_search.next_step(search)
        return line_search.take(search, line_search.Point(step, *objective(step)))

    ours = jax.jit(
        lambda: jax.lax.while_loop(lambda s: ~s.ended, evaluated, line_search.begin(value, slope))
    )
    theirs = optax.scale_by_zoom_linesearch(
        line_search.MOST_EVALUATIONS, initial_guess_strategy="one"
    )
    with jax.debug_nans(False):
        search = ours()
        _, state = jax.jit(
            lambda: theirs.update(
                one, theirs.init(zero), zero, value=value, grad=slope, value_fn=OBJECTIVES[name]
            )
        )()
    assert search.evaluations == state.info.num_linesearch_steps
    found = search.safe if search.takes_safe else search.newest
    np.testing.assert_allclose(found.step, state.learning_rate, rtol=1e-4)
    assert jnp.isinf(search.decrease_error) == jnp.isinf(state.info.decrease_error)
