import numpy as np
import pytest
import scipy.linalg

from genjax.metrics import frechet, moments
from genjax.metrics.moments import Moments


def normal(mean, covariance, n=100):
    return Moments(n, np.array(mean, float), np.array(covariance, float) * (n - 1))


def test_independent_features_have_a_closed_form():
    # |(1, -2)|² + (1 - 3)² + (2 - 1)²
    a, b = normal([0, 0], np.diag([1, 4])), normal([1, -2], np.diag([9, 1]))
    assert frechet.distance(a, b) == pytest.approx(5 + 4 + 1)
    assert frechet.distance(a, a) == pytest.approx(0, abs=1e-12)


def test_dependent_features_as_scipy_has_their_root():
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((2, 7, 6)) for _ in "xy")
    a, b = (normal(m[0, 0], m[1].T @ m[1]) for m in (x, y))
    root = scipy.linalg.sqrtm(a.covariance @ b.covariance)
    shift = a.mean - b.mean
    expected = shift @ shift + np.trace(a.covariance + b.covariance - 2 * root.real)
    assert frechet.distance(a, b) == pytest.approx(expected)
    assert frechet.distance(b, a) == pytest.approx(expected)


def test_fewer_examples_than_features_are_no_trouble():
    x = np.random.default_rng(1).standard_normal((2, 4, 30))
    assert np.isfinite(frechet.distance(moments.of(x[0]), moments.of(x[1])))


def test_nearly_equal_and_rank_deficient_sets_as_scipy():
    """Within 1e-4 of SciPy's root on the same features."""
    rng = np.random.default_rng(3)
    mixed = rng.standard_normal((5, 12))  # 12 features of rank 5
    x = rng.standard_normal((500, 5)) @ mixed
    near = x + 1e-2 * rng.standard_normal(x.shape)
    for y in (near, rng.standard_normal((300, 5)) @ mixed):
        a, b = (moments.of(z.astype(np.float32)) for z in (x, y))
        root = scipy.linalg.sqrtm(a.covariance @ b.covariance + 1e-12 * np.eye(12)).real
        shift = a.mean - b.mean
        expected = shift @ shift + np.trace(a.covariance + b.covariance - 2 * root)
        assert frechet.distance(a, b) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_the_limit_is_where_a_line_in_1_over_n_ends(monkeypatch):
    parts = [normal([0], [[1]], n) for n in frechet.sizes(6000)]
    assert len(parts) == 15
    assert {part.n for part in parts} == {400}
    monkeypatch.setattr(frechet, "_distance", lambda a, root, b: 7 + 3000 / b.n)
    assert frechet.limit(parts[0], parts) == pytest.approx(7)


def test_the_limit_takes_the_bias_away():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((30_000, 20)).astype(np.float32)
    parts = list(moments.of_parts([x[:3000]], frechet.sizes(3000)))
    reference = normal(np.zeros(20), np.eye(20))
    biased = frechet.distance(reference, frechet.merged(parts))
    assert abs(frechet.limit(reference, parts)) < biased / 3


def test_the_standard_error_is_the_spread_of_repetitions():
    rng = np.random.default_rng(5)
    reference = normal([0.5, 0, 0], np.diag([1, 2, 0.5]))
    values, errors = [], []
    for x in rng.standard_normal((200, 300, 3)).astype(np.float32):
        parts = list(moments.of_parts([x], frechet.sizes(300)))
        values.append(frechet.distance(reference, frechet.merged(parts)))
        errors.append(frechet.standard_error(reference, parts))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.1)
