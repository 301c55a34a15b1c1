import numpy as np
import pytest

from genjax.metrics import memorisation


def line(*points):
    return np.array(points, np.float32)[:, None]


def test_by_hand():
    # 0.2 is nearer to 0 than 1 is; 4 is nearer to 3 than 1 is; 2 is as near to 1 as 0 is.
    found = memorisation.of(line(0, 1, 3), line(0.2, 2, 4))
    assert found["nearest"] == pytest.approx((0.2 + 1 + 1) / 3)
    assert found["copies"] == pytest.approx(2 / 3)


def test_one_distribution_on_a_line_and_in_many_dimensions():
    rng = np.random.default_rng(0)
    for dimensions, expected in ((1, 2 / 3), (40, 0.5)):
        real, fake = rng.standard_normal((2, 3000, dimensions)).astype(np.float32)
        assert memorisation.of(real, fake)["copies"] == pytest.approx(expected, abs=0.04)


def test_the_closest_come_first():
    fakes, reals = memorisation.closest(line(0, 10, 20), line(12, 0.5, 19), rows=2, columns=2)
    assert fakes.tolist() == [1, 2]
    assert reals.tolist() == [[0, 1], [2, 1]]
