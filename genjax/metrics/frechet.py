"""The Fréchet distance of two sets of features, how sure it is, and its value for endless examples.

Heusel et al. 2017, arXiv:1706.08500, equation 6: the 2-Wasserstein distance, squared, of the two
normal distributions with the sets' means and covariances (Dowson and Landau 1982).
"""

from collections.abc import Sequence

import numpy as np

from genjax.metrics import moments
from genjax.metrics.moments import Moments

PARTS = 15  # of the generated examples; the first third and more of them make `limit`'s line


def distance(a: Moments, b: Moments) -> float:
    """|μₐ - μ_b|² + tr Σₐ + tr Σ_b - 2 tr (Σₐ^½ Σ_b Σₐ^½)^½, in float64; at least 0.

    The root's trace is the sum of the square roots of eigenvalues of a symmetric matrix, which are
    real; the usual root of Σₐ Σ_b, which is not symmetric, can come out complex.
    """
    return _distance(a, _root(a.covariance), b)


def sizes(n: int, parts: int = PARTS) -> list[int]:
    """The numbers of examples of so many parts of n, equal to within one."""
    ends = np.linspace(0, n, parts + 1).round().astype(int)
    return np.diff(ends).tolist()


def standard_error(reference: Moments, parts: Sequence[Moments]) -> float:
    """The standard error of the distance of all `parts` together to a reference that is given.

    The distance changes with the generated examples' moments as

        d = 2 (μ_b - μₐ)ᵀ dμ + tr (I - T) dΣ,  T = Σₐ^½ (Σₐ^½ Σ_b Σₐ^½)^(-½) Σₐ^½,

    T being the optimal transport between the two normal distributions. So each part contributes a
    number of its own (the infinitesimal jackknife, Efron 1982), and their spread gives the error.
    """
    total = merged(parts)
    root = _root(reference.covariance)
    values, vectors = np.linalg.eigh(root @ total.covariance @ root)
    kept = values > values.max() * len(values) * np.finfo(np.float64).eps
    half = root @ (vectors[:, kept] / values[kept] ** 0.25)
    slope = np.eye(len(root)) - half @ half.T
    shift = 2 * (total.mean - reference.mean)
    shares, found = [], []
    for part in parts:
        off = part.mean - total.mean
        second = part.scatter / part.n + np.outer(off, off)
        found.append(shift @ off + (slope * second).sum())
        shares.append(part.n / total.n)
    shares, found = np.array(shares), np.array(found)
    deviations = found - shares @ found
    return float(np.sqrt((shares**2 * deviations**2).sum() * len(parts) / (len(parts) - 1)))


def limit(reference: Moments, parts: Sequence[Moments]) -> float:
    """The distance for infinitely many generated examples, FD∞: Chong and Forsyth 2020,
    arXiv:1911.07023.

    The bias of the distance of n examples is close to linear in 1/n. The line is fitted to the
    distances of the first third of the examples, and of ever more up to all: they have to be in
    random order. The paper draws 15 subsets anew.
    """
    root, total, at, found = _root(reference.covariance), None, [], []
    for i, part in enumerate(parts, start=1):
        total = moments.merged(total, part)
        if 3 * i >= len(parts):
            at.append(total.n)
            found.append(_distance(reference, root, total))
    return float(np.polyfit(1 / np.array(at), found, 1)[1])


def merged(parts: Sequence[Moments]) -> Moments:
    """The moments of all parts together."""
    total = None
    for part in parts:
        total = moments.merged(total, part)
    return total


def _distance(a: Moments, root: np.ndarray, b: Moments) -> float:
    product = np.linalg.eigvalsh(root @ b.covariance @ root)
    roots = np.sqrt(np.maximum(product, 0)).sum()
    shift = a.mean - b.mean
    squared = shift @ shift + np.trace(a.covariance) + np.trace(b.covariance) - 2 * roots
    return max(0.0, float(squared))


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric root of a symmetric matrix without negative eigenvalues but for rounding."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
