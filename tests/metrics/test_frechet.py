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


def test_moments_grow_through_batches_that_end_anywhere():
    x = np.random.default_rng(2).standard_normal((50, 3)).astype(np.float32)
    at = [2, 10, 10, 33, 50]
    for parts in ([5, 10, 12], [], range(1, 50)):
        found = list(frechet.growing(np.split(x, parts), at))
        assert [m.n for m in found] == at
        for m in found:
            np.testing.assert_allclose(m.covariance, np.cov(x[: m.n].T), atol=1e-6)
    with pytest.raises(ValueError, match="50 examples, of which 51"):
        list(frechet.growing([x], [10, 51]))


def test_the_limit_is_where_a_line_in_1_over_n_ends():
    at = frechet.sizes(20_000)
    assert (len(at), at[0], at[-1]) == (15, 5000, 20_000)
    assert frechet.sizes(100)[0] == 50
    assert frechet.limit([7 + 3000 / n for n in at], at) == pytest.approx(7)
