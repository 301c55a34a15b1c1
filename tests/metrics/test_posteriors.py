import numpy as np
import pytest

from genjax.metrics import posteriors
from genjax.metrics.posteriors import Posteriors


def drawn(means, log_variances, seed=0) -> Posteriors:
    noise = np.random.default_rng(seed).standard_normal(means.shape)
    draws = means + np.exp(0.5 * log_variances) * noise
    return Posteriors(*(np.asarray(x, np.float32) for x in (draws, means, log_variances)))


def test_as_the_definition_has_it_in_float64():
    rng = np.random.default_rng(0)
    factors = np.stack([np.repeat([1, 0, 2], 6), np.tile([0, 1], 9)], 1)  # not sorted
    of = drawn(rng.standard_normal((18, 3)), rng.uniform(-4, 1, (18, 3)))

    def entropy(rows, j):
        logs = []
        for z in of.draws[rows, j].astype(np.float64):
            variance = np.exp(of.log_variances[rows, j].astype(np.float64))
            squared = (z - of.means[rows, j]) ** 2 / variance
            density = np.exp(-squared / 2) / np.sqrt(2 * np.pi * variance)
            logs.append(np.log(density.mean()))
        return -np.mean(logs)

    expected = np.array(
        [
            [
                entropy(slice(None), j) - np.mean([entropy(v == x, j) for x in np.unique(v)])
                for v in factors.T
            ]
            for j in range(3)
        ]
    )
    found = posteriors.information(of, factors, seed=0)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_two_normals_at_a_distance():
    """With means -1 and 1 and deviation 1, the entropy of their mixture less that of one."""
    z = np.linspace(-12, 12, 24_001)
    density = np.exp(-0.5 * np.stack([z - 1, z + 1]) ** 2).mean(0) / np.sqrt(2 * np.pi)
    entropy = -(density * np.log(density)).sum() * (z[1] - z[0])
    expected = entropy - 0.5 * np.log(2 * np.pi * np.e)
    value = np.repeat([0, 1], 1500)[:, None]
    found = posteriors.information(drawn(2.0 * value - 1, np.zeros((3000, 1))), value, seed=0)
    assert found == pytest.approx(expected, abs=0.03) and 0.3 < expected < 0.4


def test_narrow_and_wide_posteriors_are_finite():
    means = np.array([[-40.0, 0], [40, 0], [41, 0], [0, 0]])
    of = drawn(means, np.array([[-25.0, 12], [-25, 12], [10, -12], [-3, 0]]))
    found = posteriors.information(of, np.array([[0], [0], [1], [1]]), seed=0)
    assert np.isfinite(found).all()


def test_some_draws_stand_for_all():
    value = np.arange(4000) % 4
    of = drawn(np.stack([value, value % 2], 1) * 2.0, np.full((4000, 2), -1.0))
    found, fewer = (posteriors.information(of, value[:, None], 0, n) for n in (4000, 300))
    assert (found != fewer).all()
    np.testing.assert_allclose(fewer, found, atol=0.1)
    assert (fewer != posteriors.information(of, value[:, None], 1, 300)).all()
