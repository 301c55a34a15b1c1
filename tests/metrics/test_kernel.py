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
    assert kernel.distance(x, y, seed=0) == pytest.approx(expected, rel=1e-6)


def test_subsets_by_the_arithmetic_of_torch_fidelity():
    """Of its `metric_kid.py`, in float64; sets so alike that sums near 4 leave less than a
    thousandth of that."""
    x = np.abs(np.random.default_rng(0).standard_normal((2, 150, 512))).astype(np.float32)
    rng, found = np.random.default_rng(5), []
    for _ in range(3):
        a, b = (each[rng.choice(150, 100, replace=False)].astype(np.float64) for each in x)
        k_xx, k_yy, k_xy = (
            (np.matmul(p, q.T) * (1.0 / 512) + 1) ** 3 for p, q in ((a, a), (b, b), (a, b))
        )
        kt_xx, kt_yy = (k.sum(axis=1) - np.diagonal(k) for k in (k_xx, k_yy))
        unbiased = (kt_xx.sum() + kt_yy.sum()) / (100 * 99)
        found.append(unbiased - 2 * k_xy.sum(axis=0).sum() / (100 * 100))
    expected = np.mean(found)
    assert abs(expected) < 1e-3 * k_xy.mean()
    value = kernel.distance(*x, seed=5, subsets=3, size=100)
    assert value == pytest.approx(expected, rel=1e-6)


def test_subsets_of_one_distribution_are_unbiased():
    x = np.random.default_rng(1).standard_normal((2, 400, 8)).astype(np.float32)
    found = kernel.distance(*x, seed=0, subsets=50, size=100)
    assert abs(found - _distance(*x)) < 0.02 and abs(found) < 0.05
    assert kernel.distance(*x, seed=0, subsets=2, size=50) == kernel.distance(
        *x, seed=0, subsets=2, size=50
    )


def _distance(x, y) -> float:
    """The unbiased squared MMD of all examples, in float64."""
    x, y = x.astype(np.float64), y.astype(np.float64)

    def k(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(a):
        return (k(a, a).sum() - np.trace(k(a, a))) / (len(a) * (len(a) - 1))

    return within(x) + within(y) - 2 * k(x, y).mean()


def test_the_standard_error_is_that_of_leaving_each_example_out(monkeypatch):
    monkeypatch.setattr(kernel, "_BLOCK", 4)  # the last block is shorter
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((7, 4)), 1 + rng.standard_normal((6, 4))
    x, y = x.astype(np.float32), y.astype(np.float32)
    left = np.array([_distance(x, np.delete(y, i, axis=0)) for i in range(6)])
    expected = np.sqrt(5 / 6 * ((left - left.mean()) ** 2).sum())
    assert kernel.standard_error(x, y) == pytest.approx(expected, rel=1e-4)


def test_the_standard_error_is_the_spread_over_samples():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((300, 4)).astype(np.float32)
    samples = 0.5 + rng.standard_normal((200, 100, 4)).astype(np.float32)
    spread = np.std([_distance(x, y) for y in samples])
    errors = [kernel.standard_error(x, y) for y in samples[:20]]
    assert np.mean(errors) == pytest.approx(spread, rel=0.15)
