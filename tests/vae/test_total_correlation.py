"""Total correlation from a batch, against sums written out and where it is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from genjax.vae.total_correlation import total_correlation


def _log_q(z, mean, log_variance):
    return -0.5 * ((z - mean) ** 2 / np.exp(log_variance) + log_variance + np.log(2 * np.pi))


@pytest.mark.parametrize("estimator", ["weighted", "stratified"])
def test_against_loops(estimator):
    """Batch 3 of 10 images: M = 2 others, of which one has (10 - 2) / 20 and the last 1/2."""
    random = np.random.default_rng(0)
    z, mean, log_variance = random.normal(size=(3, 3, 2))
    weight = {"weighted": lambda i, j: 1 / 30, "stratified": lambda i, j: _share(i, j)}[estimator]
    expected = []
    for i in range(3):
        joint, marginals = 0.0, np.zeros(2)
        for j in range(3):
            each = np.exp(_log_q(z[i], mean[j], log_variance[j]))
            joint += weight(i, j) * each.prod()
            marginals += weight(i, j) * each
        expected.append(np.log(joint) - np.log(marginals).sum())
    found = total_correlation(*map(jnp.float32, (z, mean, log_variance)), 10, estimator)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def _share(i, j):
    return {0: 1 / 10, 1: 8 / 20, 2: 1 / 2}[(j - i) % 3]


def test_it_is_that_of_a_normal_distribution():
    """Means with the correlation 0.8, posteriors of deviation 0.3, the whole data set as the batch:
    z has the correlation c = 0.8 / 1.09, and -1/2 log(1 - c^2) nats, "weighted" log N more."""
    random = np.random.default_rng(0)
    mean = random.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 1000)
    z = mean + 0.3 * random.normal(size=mean.shape)
    arrays = [*map(jnp.float32, (z, mean, np.full(mean.shape, 2 * np.log(0.3))))]
    expected = -0.5 * np.log(1 - (0.8 / 1.09) ** 2)
    for estimator, more in (("stratified", 0), ("weighted", np.log(1000))):
        found = float(total_correlation(*arrays, 1000, estimator).mean())
        assert found - more == pytest.approx(expected, abs=0.06)
