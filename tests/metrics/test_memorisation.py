import numpy as np
import pytest

from genjax.metrics import memorisation, neighbours


def line(*points):
    return np.array(points, np.float32)[:, None]


def test_by_hand():
    # 0.2 is nearer to 0 than 1 is; 4 is nearer to 3 than 1 is; 2 is as near to 1 as 0 is.
    found = memorisation.of(line(0, 1, 3), line(0.2, 2, 4))
    assert found["nearest"] == pytest.approx((0.2 + 1 + 1) / 3)
    assert found["copies"] == pytest.approx(2 / 3)


def test_one_distribution_on_a_line():
    real, fake = np.random.default_rng(0).random((2, 3000, 1)).astype(np.float32)
    assert memorisation.of(real, fake)["copies"] == pytest.approx(2 / 3, abs=0.03)
    assert memorisation.of(real, real[:100])["copies"] == 1


def test_the_closest_come_first():
    real, fake = line(0, 10, 20), line(12, 0.5, 19)
    near = neighbours.nearest(fake, real, 2)
    fakes, reals = memorisation.closest(near, rows=2)
    assert fakes.tolist() == [1, 2]
    assert reals.tolist() == [[0, 1], [2, 1]]
    assert memorisation.of(real, fake, near) == memorisation.of(real, fake)
