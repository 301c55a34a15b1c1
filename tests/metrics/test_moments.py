import numpy as np
import pytest

from genjax.metrics import moments


def test_batches_of_any_size_give_the_moments_of_all():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((101, 5)) * [1, 2, 3, 4, 5] + 1000).astype(np.float32)
    total = None
    for part in np.split(x, [1, 40, 97]):
        total = moments.merged(total, moments.of(part))
    assert total.n == 101
    np.testing.assert_allclose(total.mean, x.mean(0, dtype=np.float64), rtol=1e-7)
    np.testing.assert_allclose(total.covariance, np.cov(x.astype(np.float64).T), atol=2e-3)


def test_one_example_has_no_covariance():
    with pytest.raises(ValueError, match="two examples"):
        moments.of(np.ones((1, 3))).covariance  # noqa: B018


def test_parts_end_anywhere_in_batches():
    x = np.random.default_rng(2).standard_normal((50, 3)).astype(np.float32)
    for cuts in ([5, 10, 12], [], range(1, 50)):
        found = list(moments.of_parts(np.split(x, cuts), [2, 8, 23, 17]))
        assert [m.n for m in found] == [2, 8, 23, 17]
        np.testing.assert_allclose(found[2].mean, x[10:33].mean(0), atol=1e-6)
        np.testing.assert_allclose(found[2].covariance, np.cov(x[10:33].T), atol=1e-6)
    with pytest.raises(ValueError, match="fewer examples than 51"):
        list(moments.of_parts([x], [10, 41]))
