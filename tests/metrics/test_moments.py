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
