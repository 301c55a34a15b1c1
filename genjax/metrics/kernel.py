"""The kernel distance of two sets of features (KID): Bińkowski et al. 2018, arXiv:1801.01401."""

import jax
import numpy as np

SUBSETS, SUBSET_SIZE = 100, 1000
_BLOCK = 1000  # examples whose kernel with all others is held at once


def distance(
    a: np.ndarray,
    b: np.ndarray,
    seed: int,
    subsets: int = SUBSETS,
    size: int = SUBSET_SIZE,
) -> float:
    """The mean over random subsets of the unbiased squared MMD.

    The kernel is (x·y / D + 1)³. A subset has `size` examples of each set, or as many as the
    smaller one has, without replacement. It estimates the distance without bias whatever the
    number of examples, and may be below 0. In float64: of two like sets, sums near 1 leave a
    difference near 0.

    Args:
      a, b: f32[N, D], f32[M, D]; at least two examples each.
      seed: of the subsets.
    """
    size = min(size, len(a), len(b))
    rng = np.random.default_rng(seed)
    found = []
    if size == len(a) == len(b):
        subsets = 1  # all would be the same
    for _ in range(subsets):
        x, y = (each[rng.choice(len(each), size, replace=False)] for each in (a, b))
        found.append(_unbiased(x.astype(np.float64), y.astype(np.float64)))
    return float(np.mean(found))


def standard_error(a: np.ndarray, b: np.ndarray) -> float:
    """The standard error of the distance of b to a, as b is a sample and a is given.

    From how the unbiased squared MMD of all examples changes as each one of b is left out: the
    jackknife (Efron 1982). The spread over random subsets says less, as subsets overlap: of sets
    no larger than a subset, it is 0.

    Args:
      a, b: f32[N, D], f32[M, D]; M at least 3.
    """
    m, across, within = len(b), [], []
    for first in range(0, m, _BLOCK):
        part = b[first : first + _BLOCK]
        across.append(_sums(part, a))
        within.append(_sums(part, b))
    own = ((b.astype(np.float64) ** 2).mean(1) + 1) ** 3
    across, within = (np.concatenate(x).astype(np.float64) for x in (across, within))
    without = 2 * across / (len(a) * (m - 1)) - 2 * (within - own) / ((m - 1) * (m - 2))
    return float(np.sqrt((m - 1) * without.var()))


def _unbiased(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased squared MMD of f64[m, D] and f64[m, D]."""
    pairs = len(x) * (len(x) - 1)
    within = sum(k.sum() - np.trace(k) for k in (_kernel(x, x), _kernel(y, y)))
    return within / pairs - 2 * _kernel(x, y).mean()


@jax.jit
def _sums(x, y):
    """f32[N]: the kernel's sums over all of y."""
    with jax.default_matmul_precision("highest"):
        return _kernel(x, y).sum(1)


def _kernel(x, y):
    """[N, M] of [N, D] and [M, D], NumPy's or JAX's."""
    near = x @ y.T / x.shape[1] + 1
    return near * near * near  # NumPy's power takes twenty times as long
