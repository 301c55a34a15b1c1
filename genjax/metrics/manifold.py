"""Fidelity and diversity of generated examples, from balls around the examples of each set.

Improved precision and recall: Kynkäänniemi et al. 2019, arXiv:1904.06991. Density and coverage:
Naeem et al. 2020, arXiv:2002.09797. The two papers differ in how many neighbours make a ball (3 and
5) and in whether its border belongs to it (`<=` and `<`); each is here as its authors have it.
"""

import numpy as np

from genjax.metrics import neighbours

PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS = 3, 5


def precision_recall(
    real: np.ndarray, fake: np.ndarray, k: int = PRECISION_NEIGHBOURS
) -> dict[str, float]:
    """`precision`, the share of fake examples in a ball of the real ones; `recall`, the reverse.

    A ball reaches from an example to its k-th nearest other one of the same set, border included.

    Args:
      real, fake: f32[N, D], f32[M, D], each of more than k examples.
    """
    return {"precision": _share(fake, real, k), "recall": _share(real, fake, k)}


def density_coverage(
    real: np.ndarray, fake: np.ndarray, k: int = DENSITY_NEIGHBOURS
) -> dict[str, float]:
    """`density`, in how many balls of real examples a fake one is, over k; it may pass 1.
    `coverage`, the share of real examples in whose ball there is a fake one. `density_error` is the
    standard error of the density, from how it spreads over the fake examples.

    Balls are as in `precision_recall`, without their border.
    """
    hits, covered = [], np.zeros(len(real), bool)
    for inside in neighbours.inside(fake, real, neighbours.radii(real, k), border=False):
        hits.append(inside.sum(1))
        covered |= inside.any(0)
    densities = np.concatenate(hits) / k
    return {
        "density": float(densities.mean()),
        "density_error": float(densities.std() / np.sqrt(len(fake))),
        "coverage": float(covered.mean()),
    }


def _share(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """The share of x that is in a ball of y."""
    balls = neighbours.inside(x, y, neighbours.radii(y, k), border=True)
    return sum(int(inside.any(1).sum()) for inside in balls) / len(x)
