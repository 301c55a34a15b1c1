"""A line search for the strong Wolfe conditions, one evaluation at a time.

Nocedal and Wright 2006, algorithms 3.5 (bracketing an interval) and 3.6 (zooming into it), with the
approximate decrease of Hager and Zhang 2006 (doi:10.1145/1132973.1132979, eq. 23) near a minimum,
where rounding hides a decrease. Whoever drives the search evaluates the objective where `next_step`
says and tells `take`; so the objective is in a program once, and not once for each algorithm.

All steps, values and slopes are f32[]; a slope is a derivative with respect to the step.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

MOST_EVALUATIONS = 20  # of a search
_DECREASE, _CURVATURE = 1e-4, 0.9  # c1 and c2 of the Wolfe conditions
_ROUNDING = 1e-6  # of a value, relatively: so much may it rise under approximate decrease
_LEAST_INTERVAL = 1e-5  # a shorter one is not searched, once any point of it would do


class Point(NamedTuple):
    """A point on the line."""

    step: jax.Array
    value: jax.Array
    slope: jax.Array


class Search(NamedTuple):
    """The state of a search.

    Attributes:
      start, newest: the points where it began and where it evaluated last.
      low, high: the ends of the interval, once `bracketed`; `low` has the smaller value.
      third: a point that was an end before, for the cubic.
      safe: the lowest point seen with a sufficient decrease; `start` if there was none.
      decrease_error: f32[], by how much `newest` misses a sufficient decrease; infinite where the
        objective is not finite.
      evaluations: i32[].
      bracketed, done, failed: bool[]; a search ends as it is done or has failed.
    """

    start: Point
    newest: Point
    low: Point
    high: Point
    third: Point
    safe: Point
    decrease_error: jax.Array
    evaluations: jax.Array
    bracketed: jax.Array
    done: jax.Array
    failed: jax.Array

    @property
    def ended(self) -> jax.Array:
        return self.done | self.failed

    @property
    def is_lost(self) -> jax.Array:
        """bool[], whether it has failed where the objective is not finite, without a safe point."""
        return self.failed & jnp.isinf(self.decrease_error) & (self.safe.step == 0)

    @property
    def takes_safe(self) -> jax.Array:
        """bool[], whether an ended search leaves the picture at `safe` and not at `newest`."""
        return self.failed & ((self.safe.step > 0) | jnp.isinf(self.decrease_error))


def begin(value, slope) -> Search:
    """A search from a point with this value and slope, which should be negative."""
    start = Point(jnp.zeros_like(value), value, slope)
    no = jnp.bool_(False)
    infinite = jnp.full_like(value, jnp.inf)
    return Search(start, *[start] * 5, infinite, jnp.int32(0), no, no, no)


def next_step(search: Search) -> jax.Array:
    """Where to evaluate: 1, 2, 4, …, until there is an interval; then in its inside."""
    longer = jnp.where(search.evaluations == 0, 1.0, 2 * search.newest.step)
    return jnp.where(search.bracketed, _inside(search.low, search.high, search.third), longer)


def take(search: Search, new: Point) -> Search:
    """The search after an evaluation at `next_step`."""
    decrease_error = _decrease_error(search.start, new)
    curvature_error = _error(jnp.abs(new.slope) - _CURVATURE * jnp.abs(search.start.slope))
    done = jnp.maximum(decrease_error, curvature_error) <= 0
    evaluations = search.evaluations + 1
    lower = (new.value < search.safe.value) | ~search.bracketed
    safe = _where((decrease_error <= 0) & lower, new, search.safe)

    # Algorithm 3.5: the newest point closes the interval, or the next is farther away.
    previous, first = search.newest, search.evaluations == 0
    above = (decrease_error > 0) | ((new.value >= previous.value) & ~first)
    beyond = (new.slope >= 0) & ~above
    bracket = _where(beyond, new, previous), _where(beyond, previous, new)
    found = above | beyond | done

    # Algorithm 3.6: the newest point becomes one end of the interval.
    low, high = search.low, search.high
    worse = (decrease_error > 0) | (new.value >= low.value)
    turns = (new.slope * (high.step - low.step) >= 0) & ~worse
    zoomed = _where(worse, low, new), _where(worse, new, _where(turns, low, high))
    third = _where(worse | turns, high, low)

    is_short = search.bracketed & (jnp.abs(high.step - low.step) <= _LEAST_INTERVAL)
    low, high = (_where(search.bracketed, *ends) for ends in zip(zoomed, bracket, strict=True))
    return Search(
        start=search.start,
        newest=new,
        low=low,
        high=high,
        third=_where(search.bracketed, third, low),
        safe=safe,
        decrease_error=decrease_error,
        evaluations=evaluations,
        bracketed=search.bracketed | found,
        done=done,
        failed=~done & ((evaluations >= MOST_EVALUATIONS) | (is_short & (safe.step > 0))),
    )


def _where(condition, a: Point, b: Point) -> Point:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)


def _error(excess):
    """By how much a condition is missed, 0 if it holds; infinite for what is not a number."""
    return jnp.where(jnp.isnan(excess), jnp.inf, jnp.maximum(excess, 0))


def _decrease_error(start: Point, new: Point):
    exact = new.value - start.value - _DECREASE * new.step * start.slope
    approximate = new.slope - (2 * _DECREASE - 1) * start.slope
    rise = new.value - start.value - _ROUNDING * jnp.abs(start.value)
    return _error(jnp.minimum(exact, jnp.maximum(approximate, rise)))


def _inside(low: Point, high: Point, third: Point):
    """The minimum of the cubic through three points, of the parabola through the ends, or the
    middle: the first of them that is inside, and not at an end."""
    ends = jnp.minimum(low.step, high.step), jnp.maximum(low.step, high.step)
    length = ends[1] - ends[0]

    def is_inside(step, share):
        margin = share * length
        return (step > ends[0] + margin) & (step < ends[1] - margin)

    cubic, parabola = _cubic_minimum(low, high, third), _parabola_minimum(low, high)
    middle = (low.step + high.step) / 2
    otherwise = jnp.where(is_inside(parabola, 0.1), parabola, middle)
    return jnp.where(is_inside(cubic, 0.2), cubic, otherwise)


def _cubic_minimum(low: Point, high: Point, third: Point):
    """Of the cubic with the values of three points and the slope of `low`; NaN if it has none."""
    h, t = high.step - low.step, third.step - low.step
    of_h, of_t = (p.value - low.value - low.slope * (p.step - low.step) for p in (high, third))
    scale = (h * t) ** 2 * (h - t)
    cubic = (t**2 * of_h - h**2 * of_t) / scale
    square = (h**3 * of_t - t**3 * of_h) / scale
    root = jnp.sqrt(square**2 - 3 * cubic * low.slope)
    return low.step + (root - square) / (3 * cubic)


def _parabola_minimum(low: Point, high: Point):
    """Of the parabola with the values of both points and the slope of `low`."""
    h = high.step - low.step
    square = (high.value - low.value - low.slope * h) / h**2
    return low.step - low.slope / (2 * square)
