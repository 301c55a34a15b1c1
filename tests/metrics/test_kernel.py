import numpy as np
import pytest

from genjax.metrics import kernel


def test_of_all_examples_as_two_loops_have_it():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 6, 4)).astype(np.float32)

    def k(a, b):
        return (float(np.dot(a, b)) / 4 + 1) ** 3

    pairs = [(i, j) for i in range(6) for j in range(6)]
    within = [sum(k(z[i], z[j]) for i, j in pairs if i != j) / 30 for z in (x, y)]
    expected = sum(within) - 2 * sum(k(x[i], y[j]) for i, j in pairs) / 36
    mean, spread = kernel.distance(x, y, seed=0, subsets=3)
    assert mean == pytest.approx(expected, rel=1e-5)
    assert spread == pytest.approx(0, abs=1e-5)  # each subset has all of them


def test_subsets_of_one_distribution_are_unbiased():
    x = np.random.default_rng(1).standard_normal((2, 400, 8)).astype(np.float32)
    mean, spread = kernel.distance(*x, seed=0, subsets=50, size=100)
    assert abs(mean) < 3 * spread / np.sqrt(50) + 0.03
    assert spread > 0
    assert kernel.distance(*x, seed=0, subsets=2, size=50) == kernel.distance(
        *x, seed=0, subsets=2, size=50
    )
