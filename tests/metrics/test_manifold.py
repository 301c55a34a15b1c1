import numpy as np
import pytest

from genjax.metrics import manifold


def line(*points):
    return np.array(points, np.float32)[:, None]


def test_precision_and_recall_by_hand():
    # With k = 1 the balls of the real ones reach 3, 2 and 2; those of the fake ones 3, 3 and 95.
    real, fake = line(-2, 1, 3), line(2, 5, 100)
    found = manifold.precision_recall(real, fake, k=1)
    # 2 is in 1's ball, and 5 on the border of 3's; 100 is in none.
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(2 / 3)  # 1 and 3, by the ball of 2


def test_density_and_coverage_by_hand():
    # Balls without border of the real ones: (-1, 1), (0, 2), (1, 5).
    real, fake = line(0, 1, 3), line(0.5, 1.5, 2, 9)
    found = manifold.density_coverage(real, fake, k=1)
    assert found["density"] == pytest.approx((2 + 2 + 1 + 0) / 4)
    assert found["coverage"] == pytest.approx(3 / 3)
    far = manifold.density_coverage(real, line(2, 4), k=1)
    assert (far["density"], far["coverage"]) == (pytest.approx(1), pytest.approx(1 / 3))


def test_equal_sets_are_wholly_inside_each_other():
    x = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    assert manifold.precision_recall(x, x) == {"precision": 1, "recall": 1}
    assert manifold.density_coverage(x, x)["coverage"] == 1
