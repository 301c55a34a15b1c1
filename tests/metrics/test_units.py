import numpy as np
import pytest

from genjax.metrics import units


def test_active_units_are_those_whose_means_vary():
    """The variance of -a, a is 2 a² (of two examples, over n - 1): 0.02 and 0.0098."""
    means = np.array([[0.1, 5, 0.07], [-0.1, 5, -0.07]], np.float32)
    assert units.active(means).tolist() == [True, False, False]
    assert units.active(means * 1.1).tolist() == [True, False, True]


def test_kl_of_each_unit_in_nats():
    """Worked by hand: ½ (μ² + σ² - 1 - log σ²), the mean over two examples."""
    means = np.array([[0, 1, 0], [0, 3, 0]], np.float32)
    log_variances = np.log([[1, 1, 4], [1, 1, 0.25]]).astype(np.float32)
    found = units.kl(means, log_variances)
    assert found.tolist() == pytest.approx([0, 2.5, (3 - 0.75) / 4], abs=1e-7)


def test_kl_of_a_narrow_posterior_keeps_its_digits():
    """σ² = 1 + x: ½ (x - log(1 + x)) is x² / 4 for small x."""
    variance = np.full((1, 1), 1e-3)
    assert units.kl(np.zeros((1, 1)), variance) == pytest.approx(2.5e-7, rel=1e-3)
