"""Nearest neighbours and balls around examples: exact, fast, and in blocks.

Squared distances come from matrix products in float32, as |x|² + |y|² - 2 x·y, which rounds. Where
rounding could decide (a neighbour's rank, a point at a ball's border, an example that is there
twice), they are computed once more from differences in float64. So the results are those of the
definitions in float64, ties included.

One block of distances is held at a time: of 500 examples to 50,000 others 100 MB. Its rows are
shared by all devices.
"""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from genjax.devices import parallel

BLOCK = 500  # examples whose distances to all others are held at once
_SPARE = 8  # neighbours that are looked at besides those asked for, in case of near ties
_ROUNDING = 1e-5  # of |x|² + |y|²: more than float32 products of some thousand features round
_GROUP = 64  # columns
_NUMBERS = 1 << 22  # of differences that are held at once
_OUTSIDE, _INSIDE, _UNSURE = np.arange(3, dtype=np.uint8)


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
    for rows, (verdicts,) in _blocks(_compared, x, y, radii=radii.astype(np.float32)):
        i, j = np.nonzero(verdicts == _UNSURE)
        exact = _exact(x[rows], y, i, j)
        sure = verdicts == _INSIDE
        sure[i, j] = exact <= radii[j] if border else exact < radii[j]
        yield sure


def _nearest(x, y, k: int, itself: bool) -> tuple[np.ndarray, np.ndarray]:
    """`nearest`; with `itself`, x is y, and no example is its own neighbour."""
    wanted = min(k + _SPARE, len(y))
    distances, indices = np.empty((len(x), k)), np.empty((len(x), k), np.int64)
    own = np.arange(len(x)) if itself else np.full(len(x), -1)
    for rows, (candidates, beyond) in _blocks(partial(_candidates, wanted), x, y, own):
        count, places = len(candidates), np.arange(rows.start, rows.stop)
        exact = _exact(x[rows], y, np.repeat(np.arange(count), wanted), candidates.ravel())
        exact = exact.reshape(count, wanted)
        exact[candidates == own[rows, None]] = np.inf
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


def _blocks(function, x, y, own=None, **others) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """Yields the rows of a block of x and what `function` finds of it: all blocks, in order.

    Each device has some of a block's rows, and all of y. Of several processes each has the whole of
    x and y, and gets the whole result.

    Args:
      function: `({"x", "own", "y", **others}) -> ` arrays [B, …].
      own: i64[N], which of y each of x is; -1 for none.
    """
    devices, size = parallel.for_batches(min(BLOCK, len(x)))
    on_each = devices.place_arrays({"y": y, **others})
    # Not with the options of programs that run networks: large products alone take a third longer.
    compiled = jax.jit(
        lambda of_each, rows: function(of_each | rows), out_shardings=devices.replicated
    )
    for first in range(0, len(x), size):
        rows = slice(first, min(first + size, len(x)))
        count = rows.stop - first
        block = {"x": np.zeros((size, x.shape[1]), np.float32), "own": np.full(size, -1, np.int32)}
        block["x"][:count] = x[rows]
        if own is not None:
            block["own"][:count] = own[rows]
        block = devices.place_rows({name: part[devices.rows] for name, part in block.items()})
        found = compiled(on_each, block)
        yield rows, [np.asarray(part)[:count] for part in found]


def _squared(x, y):
    """(f32[B, M], f32[B, M]): squared distances, and how much they may be off."""
    products = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
    norms = (x * x).sum(1)[:, None] + (y * y).sum(1)[None]
    return norms - 2 * products, _ROUNDING * norms


def _compared(batch):
    """(u8[B, M],): `_OUTSIDE`, `_INSIDE`, or `_UNSURE` where rounding could decide."""
    squared, slack = _squared(batch["x"], batch["y"])
    off = squared - batch["radii"][None]
    return (jnp.where(abs(off) <= slack, _UNSURE, jnp.where(off <= 0, _INSIDE, _OUTSIDE)),)


def _candidates(wanted: int, batch):
    """(i32[B, wanted], f32[B]): the nearest by float32, and how near others may be at most.

    Rows are long, and sorting them is slow on CPUs. The `wanted` smallest numbers lie in those
    `wanted` groups of neighbouring columns that have the smallest minima, so only these are sorted.
    """
    squared, slack = _squared(batch["x"], batch["y"])
    rows, count = squared.shape
    itself = jnp.arange(count)[None] == batch["own"][:, None]
    # Large, but less than what fills the last group.
    squared = jnp.where(itself, jnp.finfo(jnp.float32).max, squared)
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
    pairs = max(1, _NUMBERS // y.shape[1])
    for first in range(0, len(i), pairs):
        part = slice(first, first + pairs)
        difference = x[i[part]].astype(np.float64) - y[j[part]]
        found[part] = np.einsum("pd,pd->p", difference, difference)
    return found
