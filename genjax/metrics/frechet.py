"""The Fréchet distance of two sets of features, and its value for infinitely many examples.

Heusel et al. 2017, arXiv:1706.08500, equation 6: the 2-Wasserstein distance, squared, of the two
normal distributions with the sets' means and covariances (Dowson and Landau 1982).
"""

from collections.abc import Iterable, Sequence

import numpy as np

from genjax.metrics import moments
from genjax.metrics.moments import Moments

POINTS = 15  # sizes at which the distance is taken to find its limit (Chong and Forsyth)


def distance(a: Moments, b: Moments) -> float:
    """|μₐ - μ_b|² + tr Σₐ + tr Σ_b - 2 tr (Σₐ^½ Σ_b Σₐ^½)^½, in float64; at least 0.

    The root's trace is the sum of the square roots of eigenvalues of a symmetric matrix, which are
    real; the usual root of Σₐ Σ_b, which is not symmetric, can come out complex.
    """
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ b.covariance @ root)
    roots = np.sqrt(np.maximum(product, 0)).sum()
    shift = a.mean - b.mean
    squared = shift @ shift + np.trace(a.covariance) + np.trace(b.covariance) - 2 * roots
    return max(0.0, float(squared))


def sizes(n: int, least: int | None = None) -> list[int]:
    """Numbers of examples at which to take the distance for `limit`, up to n and evenly spaced.

    Args:
      least: the first; by default 5,000, as in the paper, or half of n if that is less.
    """
    first = min(5000, n // 2) if least is None else least
    return [int(x) for x in np.linspace(first, n, POINTS).round()]


def growing(batches: Iterable[np.ndarray], at: Sequence[int]) -> Iterable[Moments]:
    """The moments of the first `at[0]`, `at[1]`, … of the features in batches f32[B, D].

    Raises:
      ValueError: the batches end before the last of them.
    """
    wanted, total, due = list(at), None, 0
    for batch in batches:
        while due < len(wanted):
            room = wanted[due] - (total.n if total else 0)
            if len(batch) < room:
                break
            if room:
                total = moments.merged(total, moments.of(batch[:room]))
            batch, due = batch[room:], due + 1
            yield total
        if due == len(wanted):
            return
        if len(batch):
            total = moments.merged(total, moments.of(batch))
    if due < len(wanted):
        raise ValueError(f"{total.n if total else 0} examples, of which {wanted[-1]} were asked for")


def limit(distances: Sequence[float], at: Sequence[int]) -> float:
    """The distance for infinitely many generated examples, FD∞: Chong and Forsyth 2020,
    arXiv:1911.07023.

    The bias of the distance of n examples is close to linear in 1/n. Here the smaller sets are the
    first examples of the larger ones, which are in random order already; the paper draws each anew.

    Args:
      distances: of the first `at[i]` examples to a reference.
    """
    _, intercept = np.polyfit(1 / np.asarray(at, np.float64), distances, 1)
    return float(intercept)
