"""Convolution by minimal filtering, which takes fewer multiplications than a direct sum.

Winograd 1980 (Arithmetic Complexity of Computations), in the form of Lavin and Gray 2016
(arXiv:1509.09308, §4): m outputs of a filter with r taps come from n = m + r - 1 products instead
of m r. In two dimensions a tile of m x m outputs takes n² matrix products,

    Y = Aᵀ [(G k Gᵀ) ⊙ (Bᵀ d B)] A,

where d is the window of n x n pixels that the tile depends on and ⊙ also sums over channels. The
two gradients use the same three matrices. The windows of neighbouring tiles overlap by r - 1
pixels, and there the input's gradient is the sum over the tiles.

The matrices come from polynomial interpolation at the points below and at infinity. Larger tiles
multiply less and round more: the error was measured as twice that of a direct sum for m = 2 and
seven times for m = 4, and `tests/nn/test_winograd.py` bounds it.

Each of the n² transformed arrays reads many pixels of its input. The optimisation barriers make XLA
materialise that input. It would otherwise fuse the input's computation, with all elementwise
operations before it, into each of the n² arrays and repeat it (see `genjax.devices.parallel`).
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# {(m, r): the finite interpolation points}. Those for m = 4 have the smallest error among small
# fractions, as Barabasz et al. 2020 (doi:10.1145/3412380) recommend to choose them.
_POINTS = {
    (2, 2): (0, -1),
    (4, 2): (0, 1, -1, 1 / 2),
    (2, 3): (0, 1, -1),
    (4, 3): (0, 1, -1, 2, -1 / 2),
}
TILES = {r: tuple(m for m, taps in _POINTS if taps == r) for r in (2, 3)}  # {taps: tile sizes}


# Layers of equal shapes share one trace; `inline` leaves no call of it in the program.
_traced_once = functools.partial(jax.jit, static_argnames="m", inline=True)


class Matrices(NamedTuple):
    """The algorithm in one dimension: y = output @ ((kernel @ k) * (window @ d)).

    Attributes:
      window: f64[n, n], Bᵀ.
      kernel: f64[n, r], G.
      output: f64[m, n], Aᵀ.
    """

    window: np.ndarray
    kernel: np.ndarray
    output: np.ndarray


@functools.cache
def matrices(m: int, r: int) -> Matrices:
    """The matrices F(m, r) of Toom and Cook for m outputs and r taps.

    The rows of Bᵀ and the columns of Aᵀ are scaled by powers of two to norms near one, and the rows
    of G by the inverse.
    """
    points = _POINTS[m, r]

    def evaluate(terms: int) -> np.ndarray:
        """[n, terms]: maps a polynomial's coefficients to its values, the last one at infinity."""
        finite = [[float(p) ** i for i in range(terms)] for p in points]
        return np.array([*finite, [0.0] * (terms - 1) + [1.0]])

    # A product of polynomials with m and r terms is interpolated from the products of their values.
    # Filtering is the transpose of that bilinear map with respect to the polynomial of m terms.
    window = np.linalg.inv(evaluate(m + r - 1)).T
    kernel, output = evaluate(r), evaluate(m).T
    near_one = [2.0 ** np.round(np.log2(np.linalg.norm(each))) for each in (*window, *output.T)]
    rows, columns = np.split(np.array(near_one), 2)
    return Matrices(
        window / rows[:, None], kernel * (rows * columns)[:, None], output / columns[None]
    )


@_traced_once
def correlate(x, kernel, m: int):
    """`correlation.correlate` with tiles of m x m outputs."""
    r, channels = kernel.shape[0], kernel.shape[-1]
    n, (h, w) = m + r - 1, (x.shape[1] - r + 1, x.shape[2] - r + 1)
    tiled = (x.shape[0], -(-h // m), -(-w // m), channels)
    windows, kernels = _windows(x, m, r), _kernels(kernel, m)
    products = [
        [(windows[p][q] @ kernels[p][q]).reshape(tiled) for q in range(n)] for p in range(n)
    ]
    outputs = _transform(matrices(m, r).output, products)
    y = jnp.stack([jnp.stack(row, axis=3) for row in outputs], axis=2)
    return y.reshape(len(x), tiled[1] * m, tiled[2] * m, channels)[:, :h, :w]


@_traced_once
def correlate_adjoint(g, kernel, m: int):
    """`correlation.correlate_adjoint` with tiles of m x m pixels of `g`."""
    r, channels = kernel.shape[0], kernel.shape[2]
    n, (h, w) = m + r - 1, g.shape[1:3]
    tiled = (g.shape[0], -(-h // m), -(-w // m), channels)
    tiles, kernels = _tiles(g, m, r), _kernels(kernel, m)
    products = [
        [(tiles[p][q] @ kernels[p][q].T).reshape(tiled) for q in range(n)] for p in range(n)
    ]
    back = matrices(m, r).window.T
    columns = [_overlap(_combine(back, each), m, r, 2) for each in products]
    x = _overlap(_combine(back, columns), m, r, 1)
    return x[:, : h + r - 1, : w + r - 1]


@_traced_once
def kernel_gradient(x, g, m: int):
    """`correlation.kernel_gradient` of a kernel of 2 x 2 or 3 x 3, with tiles of m x m outputs."""
    r = x.shape[1] - g.shape[1] + 1
    windows, tiles = _windows(x, m, r), _tiles(g, m, r)
    products = [
        [window.T @ tile for window, tile in zip(*rows, strict=True)]
        for rows in zip(windows, tiles, strict=True)
    ]
    taps = _transform(matrices(m, r).kernel.T, products)
    return jnp.stack([jnp.stack(row) for row in taps])


def _windows(x, m: int, r: int) -> list[list]:
    """Bᵀ d B of the windows of all th x tw tiles: n x n arrays f[B th tw, C]."""
    n, (h, w) = m + r - 1, (x.shape[1] - r + 1, x.shape[2] - r + 1)
    th, tw = -(-h // m), -(-w // m)
    x = jax.lax.optimization_barrier(x)
    x = jnp.pad(x, ((0, 0), (0, th * m - h), (0, tw * m - w), (0, 0)))
    rows = [x[:, i : i + (th - 1) * m + 1 : m] for i in range(n)]
    matrix, found = matrices(m, r).window, []
    for row in _combine(matrix, rows):
        row = jax.lax.optimization_barrier(row)
        columns = [row[:, :, j : j + (tw - 1) * m + 1 : m] for j in range(n)]
        found.append([each.reshape(-1, x.shape[-1]) for each in _combine(matrix, columns)])
    return found


def _tiles(g, m: int, r: int) -> list[list]:
    """A g Aᵀ of all th x tw tiles: n x n arrays f[B th tw, C]."""
    h, w = g.shape[1:3]
    g = jax.lax.optimization_barrier(g)
    g = jnp.pad(g, ((0, 0), (0, -h % m), (0, -w % m), (0, 0)))
    pixels = [[g[:, i::m, j::m].reshape(-1, g.shape[-1]) for j in range(m)] for i in range(m)]
    return _transform(matrices(m, r).output.T, pixels)


def _kernels(kernel, m: int) -> list[list]:
    """G k Gᵀ: n x n arrays f[Cin, Cout]."""
    r = kernel.shape[0]
    return _transform(matrices(m, r).kernel, [[kernel[i, j] for j in range(r)] for i in range(r)])


def _transform(matrix: np.ndarray, blocks: Sequence[Sequence]) -> list[list]:
    """matrix @ blocks @ matrix.T, where each entry of the square `blocks` is an array."""
    half = [_combine(matrix, column) for column in zip(*blocks, strict=True)]
    half = jax.lax.optimization_barrier(half)
    return [_combine(matrix, row) for row in zip(*half, strict=True)]


def _combine(matrix: np.ndarray, arrays: Sequence) -> list:
    """matrix @ arrays, where each entry of the vector `arrays` is an array.

    A training step traces hundreds of these. They use as few operations as possible, and those of
    `jax.lax` instead of `jax.numpy`, because tracing them would otherwise take seconds.
    """
    factor = functools.cache(lambda c: jax.lax.full_like(arrays[0], c))
    scaled = functools.cache(lambda c, j: jax.lax.mul(arrays[j], factor(c)))

    def combined(row):
        terms = [(j, c) for j, c in enumerate(row) if c]
        terms.sort(key=lambda term: term[1] < 0)  # start with a positive one: no `neg`
        total = None
        for j, c in terms:
            term = arrays[j] if abs(c) == 1 else scaled(abs(c), j)
            if total is None:
                total = term if c > 0 else jax.lax.neg(term)
            else:
                total = jax.lax.add(total, term) if c > 0 else jax.lax.sub(total, term)
        return total

    return [combined(row) for row in np.round(matrix, 12)]


def _overlap(parts: list, m: int, r: int, axis: int):
    """Lays out windows of n pixels, one every m pixels, and adds them where they overlap.

    Args:
      parts: n arrays with t windows along `axis`; array i holds pixel i of every window.

    Returns:
      (t + 1) m pixels along `axis`, of which those from t m + r - 1 on are zero.
    """

    def shifted(part, windows: int):
        edges = [(0, 0)] * part.ndim
        edges[axis] = (windows, 1 - windows)
        return jnp.pad(part, edges)

    pixels = [shifted(part, 0) for part in parts[:m]]
    for i in range(r - 1):
        pixels[i] += shifted(parts[m + i], 1)
    shape = list(pixels[0].shape)
    shape[axis] *= m
    return jnp.stack(pixels, axis=axis + 1).reshape(shape)
