"""Nearest neighbours and balls around examples: exact, fast, and in blocks.

Squared distances come from matrix products in float32, as |x|² + |y|² - 2 x·y, which rounds. Where
rounding could decide (a neighbour's rank, a point at a ball's border, an example that is there
twice), they are computed once more from differences in float64. So the results are those of the
definitions in float64, ties included.

One block of distances is held at a time: of 500 examples to 50,000 others 100 MB.
"""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

BLOCK = 500  # examples whose distances to all others are held at once
_SPARE = 8  # neighbours that are looked at besides those asked for, in case of near ties
_ROUNDING = 1e-5  # of |x|² + |y|²: more than float32 products of some thousand features round
_GROUP = 64  # columns
_PAIRS = 1 << 14  # whose differences are held at once


def nearest(x: np.ndarray, y: np.ndarray, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The k examples of y, f32[M, D], that are nearest to each of x, f32[N, D].

    Returns:
      (f64[N, k], i64[N, k]): squared distances, nearest first, and indices into y; of equal ones
      the first.
    """
    return _nearest(x, y, k, itself=False)


def radii(x: np.ndarray, k: int) -> np.ndarray:
    """f64[N]: squared distances of the examples f32[N, D], N > k, to their k-th nearest others."""
    return _nearest(x, x, k, itself=True)[0][:, -1]


def inside(x: np.ndarray, y: np.ndarray, radii: np.ndarray, border: bool) -> Iterator[np.ndarray]:
    """Yields, for blocks of x in order, bool[B, M]: which balls around y hold each example.

    Args:
      radii: squared, f64[M].
      border: whether a ball's border belongs to it.
    """
    for rows, squared, slack in _blocks(x, y):
        unsure, sure = (np.array(part) for part in _compare(squared, slack, jnp.asarray(radii)))
        i, j = np.nonzero(unsure)
        exact = _exact(x[rows], y, i, j)
        sure[i, j] = exact <= radii[j] if border else exact < radii[j]
        yield sure


def _nearest(x, y, k: int, itself: bool) -> tuple[np.ndarray, np.ndarray]:
    """`nearest`; with `itself`, x is y, and no example is its own neighbour."""
    wanted = min(k + _SPARE, len(y))
    distances, indices = np.empty((len(x), k)), np.empty((len(x), k), np.int64)
    for rows, squared, slack in _blocks(x, y):
        if itself:
            own = np.arange(rows.start, rows.stop)
            # Large, but less than what fills the last group.
            squared = squared.at[own - rows.start, own].set(jnp.finfo(jnp.float32).max)
        candidates, beyond = (np.array(part) for part in _candidates(squared, slack, wanted))
        count, places = len(candidates), np.arange(rows.start, rows.stop)
        exact = _exact(x[rows], y, np.repeat(np.arange(count), wanted), candidates.ravel())
        exact = exact.reshape(count, wanted)
        if itself:
            exact[candidates == places[:, None]] = np.inf
        order = np.lexsort((candidates, exact), axis=1)[:, :k]
        distances[rows] = np.take_along_axis(exact, order, 1)
        indices[rows] = np.take_along_axis(candidates, order, 1)
        # Where one that was left out may be nearer, all are compared.
        for i in places[distances[rows][:, -1] > np.maximum(beyond, 0)]:
            exact = _exact(x, y, np.full(len(y), i), np.arange(len(y)))
            if itself:
                exact[i] = np.inf
            indices[i] = np.argsort(exact, kind="stable")[:k]
            distances[i] = exact[indices[i]]
    return distances, indices


def _blocks(x, y) -> Iterator[tuple[slice, jax.Array, jax.Array]]:
    """Yields (rows, f32[B, M], f32[B, M]): squared distances and how much they may be off."""
    y = jnp.asarray(y)
    for first in range(0, len(x), BLOCK):
        rows = slice(first, min(first + BLOCK, len(x)))
        yield rows, *_squared(jnp.asarray(x[rows]), y)


@jax.jit
def _squared(x, y):
    products = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
    norms = (x * x).sum(1)[:, None] + (y * y).sum(1)[None]
    return norms - 2 * products, _ROUNDING * norms


@jax.jit
def _compare(squared, slack, radii):
    """(bool, bool)[B, M]: where rounding could decide, and what it says."""
    off = squared - radii[None]
    return abs(off) <= slack, off <= 0


@partial(jax.jit, static_argnums=2)
def _candidates(squared, slack, wanted: int):
    """(i32[B, wanted], f32[B]): the nearest by float32, and how near others may be at most.

    Rows are long, and sorting them is slow on CPUs. The `wanted` smallest numbers lie in those
    `wanted` groups of neighbouring columns that have the smallest minima, so only these are sorted.
    """
    rows, count = squared.shape
    missing = -count % _GROUP
    grouped = jnp.pad(squared, ((0, 0), (0, missing)), constant_values=jnp.inf)
    grouped = grouped.reshape(rows, -1, _GROUP)
    some = min(wanted, grouped.shape[1])
    _, groups = jax.lax.top_k(-grouped.min(2), some)
    values = jnp.take_along_axis(grouped, groups[:, :, None], 1).reshape(rows, -1)
    negative, place = jax.lax.top_k(-values, wanted)
    index = jnp.take_along_axis(groups, place // _GROUP, 1) * _GROUP + place % _GROUP
    others = count > wanted
    return index, jnp.where(others, -negative[:, -1] - slack.max(1), jnp.inf)


def _exact(x, y, i, j) -> np.ndarray:
    """f64: the squared distances of x[i] to y[j], for arrays of indices."""
    found = np.empty(len(i))
    for first in range(0, len(i), _PAIRS):
        part = slice(first, first + _PAIRS)
        difference = x[i[part]].astype(np.float64) - y[j[part]]
        found[part] = np.einsum("pd,pd->p", difference, difference)
    return found
