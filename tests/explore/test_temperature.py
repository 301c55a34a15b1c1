import numpy as np

from genjax import runs
from genjax.explore import temperature
from genjax.latents import truncated_normal
from tests.explore import stub


def test_rows_are_the_same_samples_more_and_more_spread(tmp_path):
    trained = stub.linear(shown=3)
    page, line = stub.page(temperature, trained, tmp_path)
    assert line.startswith("3 latents of step 12")
    assert line.endswith("rows: temperatures 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4")
    samples = runs.draw(trained, 3, seed=0)[..., 0]
    np.testing.assert_array_equal(page[4], samples)
    expected = np.array(temperature.TEMPERATURES)[:, None, None] * stub.said(samples)[None]
    np.testing.assert_allclose(stub.said(page), expected, atol=0.1)


def test_other_priors_are_spread_about_their_mean(tmp_path):
    def points(state, key, index, level):
        return -3 + 2 * truncated_normal(key, index, (4,), level)

    trained = stub.linear(points, shown=3)
    page, _ = stub.page(temperature, trained, tmp_path)
    away = stub.said(page) + 3
    np.testing.assert_allclose(away[0], 0.2 * away[4], atol=0.15)
