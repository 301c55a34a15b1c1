"""The adaptive weight by hand."""

import jax.numpy as jnp
import pytest

from genjax.vae.adversarial import adaptive_weight


@pytest.mark.parametrize(
    ("of_reconstruction", "of_adversarial", "expected"),
    [
        ([3.0, 4.0], [0.0, 2.0], 0.8 * 5 / 2.0001),
        ([3.0, 4.0], [0.0, 0.0], 0.8 * 1e4),  # of 5 / 1e-4
        ([0.0, 0.0], [0.0, 2.0], 0.0),
    ],
)
def test_the_ratio_of_gradients_is_clipped(of_reconstruction, of_adversarial, expected):
    slopes = jnp.array(of_reconstruction), jnp.array(of_adversarial)
    assert float(adaptive_weight(*slopes, 0.8)) == pytest.approx(expected, rel=1e-5)
