"""Convolution by minimal filtering, which takes fewer multiplications than a direct sum.

Winograd 1980 (Arithmetic Complexity of Computations), in the form of Lavin and Gray 2016
(arXiv:1509.09308, §4): m outputs of a filter with r taps come from n = m + r - 1 products instead
of m r. In two dimensions a tile of m x m outputs takes n² matrix products,

    Y = Aᵀ [(G k Gᵀ) ⊙ (Bᵀ d B)] A,

where d is the window of n x n pixels that the tile depends on and ⊙ also sums over channels. The
windows of neighbouring tiles overlap by r - 1 pixels. The kernel's gradient uses the same three
matrices; the image's is a correlation as well, or a sum of overlapping windows.

The matrices come from polynomial interpolation at the points below and at infinity. Larger tiles
multiply less and round more: the error was measured as twice that of a direct sum for m = 2 and
seven times for m = 4, and `tests/nn/test_winograd.py` bounds it.

A transformed array is a list over the rows p of a window of arrays f[n, ...] over its columns q.
One array for all n² would be written in n² streams at once, which is slow, and n² arrays would be
as many operations to trace, compile and load. Along q a transform is one fused operation or a
product with a small matrix, and of a kernel it is one product a row.

A transform writes more than twice the numbers it reads, so a large picture or batch is computed in
blocks whose transformed arrays stay in the processor's cache, one after the other (`_in_blocks`).
The memory that filtering takes is therefore that of a block.

Each transformed array reads many pixels of its input. The optimisation barriers make XLA
materialise that input. It would otherwise fuse the input's computation, with all elementwise
operations before it, into each of the arrays and repeat it (see `genjax.devices.program`).
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Padding = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right)), in pixels

# {(m, r): the finite interpolation points}. Those for m = 4 have the smallest error among small
# fractions, as Barabasz et al. 2020 (doi:10.1145/3412380) recommend to choose them.
_POINTS = {
    (2, 2): (0, -1),
    (4, 2): (0, 1, -1, 1 / 2),
    (2, 3): (0, 1, -1),
    (4, 3): (0, 1, -1, 2, -1 / 2),
}
TILES = {r: tuple(m for m, taps in _POINTS if taps == r) for r in (2, 3)}  # {taps: tile sizes}

# A block's transformed arrays: this many numbers (12 MB in float32) stay in the caches of all
# processors measured. Fewer tiles make products of matrices that are too small to be fast.
_BLOCK, _LEAST_TILES = 3_000_000, 128


def _traced_once(*static: str) -> Callable:
    """Layers of equal shapes share one trace; `inline` leaves no call of it in the program."""
    return functools.partial(jax.jit, static_argnames=static, inline=True)


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


def padded(x, padding: Padding):
    """f[B, H, W, C] with zeros around the pictures; less than none cut edges off."""
    return jax.lax.pad(
        x, np.zeros((), x.dtype), [(0, 0, 0), *((*e, 0) for e in padding), (0, 0, 0)]
    )


@_traced_once("padding", "m")
def correlate(x, kernel, padding: Padding, m: int):
    """`correlation.correlate` with tiles of m x m outputs."""
    r, (cin, cout) = kernel.shape[0], kernel.shape[2:]
    x = padded(jax.lax.optimization_barrier(x), padding)
    h, w = x.shape[1] - r + 1, x.shape[2] - r + 1
    kernels, division = _kernels(kernel, m), _division(len(x), h, w, cin + cout, m, r)

    def filtered(x):
        tiled = (len(x), -(-(x.shape[1] - r + 1) // m), -(-w // m), cout)
        products = [_multiply(*e, (2, 1)) for e in zip(_windows(x, m, r), kernels, strict=True)]
        rows = _combine_both(matrices(m, r).output, products)
        y = jnp.stack([row.reshape(m, *tiled) for row in rows])  # i, j, B, th, tw, C
        y = y.transpose(2, 3, 0, 4, 1, 5)
        return y.reshape(len(x), tiled[1] * m, tiled[2] * m, cout)[:, :, :w]

    return _in_blocks(filtered, division, [x], [r - 1])[: len(x), :h]


@_traced_once("m")
def correlate_adjoint(g, kernel, m: int):
    """`correlation.correlate_adjoint` without padding, with tiles of m x m pixels of `g`.

    Its windows overlap by r - 1 pixels, where it adds them up. As a correlation of the padded g it
    would need another row of tiles at each edge: half as many again for small pictures.
    """
    r, (cin, cout) = kernel.shape[0], kernel.shape[2:]
    n, (h, w), back = m + r - 1, g.shape[1:3], matrices(m, r).window.T
    th, tw = -(-h // m), -(-w // m)
    kernels = _kernels(kernel, m)

    def spread(g):
        columns = []
        for tiles, kernels_ in zip(_tiles(g, m, r), kernels, strict=True):
            products = _multiply(tiles, kernels_, (2, 2)).reshape(n, len(g), th, tw, cin)
            columns.append(_overlap(_combine(back, list(products)), m, r, 2))
        rows = _combine(back, jax.lax.optimization_barrier(columns))
        return _overlap(rows, m, r, 1)[:, : h + r - 1, : w + r - 1]

    division = _of_examples(len(g), th * tw, n * n * (cin + cout))
    return _in_blocks(spread, division, [g], [0])[: len(g)]


@_traced_once("padding", "m")
def kernel_gradient(x, g, padding: Padding, m: int):
    """`correlation.kernel_gradient` of a kernel of 2 x 2 or 3 x 3, with tiles of m x m outputs."""
    x = padded(jax.lax.optimization_barrier(x), padding)
    r, cin, (h, w, cout) = x.shape[1] - g.shape[1] + 1, x.shape[-1], g.shape[1:]

    def taps(x, g):
        both = zip(_windows(x, m, r), _tiles(g, m, r), strict=True)
        rows = _combine_both(matrices(m, r).kernel.T, [_multiply(*each, (1, 1)) for each in both])
        return jnp.stack(rows).reshape(r, r, cin, cout)

    division = _division(len(x), h, w, cin + cout, m, r)
    return _in_blocks(taps, division, [x, g], [r - 1, 0], add=True)


class _Division(NamedTuple):
    """Blocks of `size` examples (`axis` 0) or pixel rows (`axis` 1), `count` of them."""

    axis: int
    count: int
    size: int


def _division(b: int, h: int, w: int, channels: int, m: int, r: int) -> _Division:
    """The blocks in which `b` pictures of h x w outputs are filtered.

    Args:
      channels: of input and output together.
    """
    th, tw, numbers = -(-h // m), -(-w // m), (m + r - 1) ** 2 * channels
    if b > 1 or th * tw * numbers <= _BLOCK:
        return _of_examples(b, th * tw, numbers)
    count, size = _divided(th, numbers * tw, tw)
    return _Division(1, count, size * m)


def _of_examples(b: int, tiles: int, numbers: int) -> _Division:
    """Blocks of pictures of so many tiles, each of which is transformed to so many numbers."""
    return _Division(0, *_divided(b, numbers * tiles, tiles))


def _divided(units: int, numbers: int, tiles: int) -> tuple[int, int]:
    """How many blocks `units` are divided into, of how many units each.

    Args:
      numbers, tiles: of a unit.
    """
    most = max(_BLOCK // numbers, _LEAST_TILES // tiles, 1)
    most = min(most, units)
    sizes = range(most, (most + 1) // 2 - 1, -1)
    size = min(sizes, key=lambda size: -(-units // size) * size)  # which pads least
    return -(-units // size), size


def _in_blocks(function: Callable, division: _Division, arrays, overlaps, add: bool = False):
    """`function` of `arrays`, computed of blocks of them, one after the other.

    Args:
      arrays: f[B, H, W, C] each; padded with zeros where blocks do not divide them.
      overlaps: of each array, the pixel rows of the next block that a block needs as well.
      add: whether the blocks' results are added up. Otherwise they lie side by side along the axis
        of the division, those of the padding included.
    """
    axis, count, size = division
    rows = [overlap if axis else 0 for overlap in overlaps]

    def pad(x, overlap):
        missing = count * size + overlap - x.shape[axis]
        return jnp.pad(x, [(0, missing if i == axis else 0) for i in range(x.ndim)])

    arrays = [pad(*each) for each in zip(arrays, rows, strict=True)]
    if count == 1:
        return function(*arrays)
    if not axis:
        # Block i has every count-th example, so that each device has its part of every block.
        arrays = [x.reshape(size, count, *x.shape[1:]) for x in arrays]

    def of_block(i):
        if not axis:
            return function(*[jax.lax.dynamic_index_in_dim(x, i, 1, False) for x in arrays])
        cut = [
            jax.lax.dynamic_slice_in_dim(x, i * size, size + overlap, 1)
            for x, overlap in zip(arrays, rows, strict=True)
        ]
        return function(*cut)

    def put(i, result):
        # Materialised first: XLA computes what it fuses into the update on one core.
        part = jax.lax.optimization_barrier(of_block(i))
        if not axis:
            return jax.lax.dynamic_update_index_in_dim(result, part, i, 1)
        return jax.lax.dynamic_update_slice_in_dim(result, part, i * part.shape[1], 1)

    part = jax.eval_shape(of_block, 0)
    b, *of_example = part.shape
    if add:
        zeros = jnp.zeros(part.shape, part.dtype)
        return jax.lax.fori_loop(0, count, lambda i, total: total + of_block(i), zeros)
    shape = (b, of_example[0] * count, *of_example[1:]) if axis else (b, count, *of_example)
    # Zeros of this loop alone: those that several loops begin with would be copied for each.
    zero, _ = jax.lax.optimization_barrier((jnp.zeros((), part.dtype), arrays[0]))
    result = jax.lax.fori_loop(0, count, put, jnp.broadcast_to(zero, shape))
    return result if axis else result.reshape(b * count, *of_example)


def _windows(x, m: int, r: int) -> list:
    """Bᵀ d B of the windows of all th x tw tiles: for each p, f[n, B th tw, C]."""
    h, w = x.shape[1] - r + 1, x.shape[2] - r + 1
    return _transformed(x, matrices(m, r).window, m, -(-h // m), -(-w // m))


def _tiles(g, m: int, r: int) -> list:
    """A g Aᵀ of all th x tw tiles: for each p, f[n, B th tw, C]."""
    return _transformed(g, matrices(m, r).output.T, m, -(-g.shape[1] // m), -(-g.shape[2] // m))


def _transformed(x, matrix: np.ndarray, m: int, th: int, tw: int) -> list:
    """matrix @ d @ matrix.T of the pixels d below th x tw tiles, one every m pixels.

    Args:
      x: f[B, H, W, C].
      matrix: [n, k], for pieces d of k x k pixels. Those beyond the edges of `x` are 0.

    Returns:
      For each p, f[n, B th tw, C].
    """
    k = matrix.shape[1]
    height, width = ((t - 1) * m + k for t in (th, tw))
    x = jax.lax.optimization_barrier(x)
    x = jnp.pad(x, ((0, 0), (0, height - x.shape[1]), (0, width - x.shape[2]), (0, 0)))
    rows, found = [x[:, i : i + (th - 1) * m + 1 : m] for i in range(k)], []
    for row in _combine(matrix, rows):
        row = jax.lax.optimization_barrier(row)
        columns = [row[:, :, j : j + (tw - 1) * m + 1 : m] for j in range(k)]
        found.append(jnp.stack(_combine(matrix, columns)).reshape(len(matrix), -1, x.shape[-1]))
    return found


def _kernels(kernel, m: int) -> list:
    """G k Gᵀ: for each p, f[n, Cin, Cout]."""
    r, _, *channels = kernel.shape
    matrix, flat = matrices(m, r).kernel, kernel.reshape(r * r, -1)
    return [
        (np.kron(row, matrix).astype(flat.dtype) @ flat).reshape(-1, *channels) for row in matrix
    ]


def _multiply(a, b, contracted: tuple[int, int]):
    """Products of the matrices in a and b f[n, ...], along the axes `contracted` of each."""
    axes = tuple((axis,) for axis in contracted)
    return jax.lax.dot_general(a, b, (axes, ((0,), (0,))))


def _combine_both(matrix: np.ndarray, products: Sequence) -> list:
    """matrix @ products @ matrix.T: for each row i, f[k, S].

    Args:
      matrix: [k, n].
      products: for each p, f[n, ...], S entries for each q.
    """
    halves = jax.lax.optimization_barrier(_combine(matrix, products))
    return [matrix.astype(half.dtype) @ half.reshape(len(half), -1) for half in halves]


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
