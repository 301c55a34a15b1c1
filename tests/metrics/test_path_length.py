import jax.numpy as jnp
import numpy as np
import pytest

from genjax.metrics import path_length


def test_of_a_linear_generator_it_is_the_speed_squared():
    """On the unit circle the way has length angle · ε, and a generator c · z makes c² times it."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 5, 3))
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    angle = np.arccos((a * b).sum(1))
    found = path_length.lengths(
        lambda z: 100 * z,
        lambda x, y: ((x - y) ** 2).sum(1),
        *(jnp.float32(x) for x in (a, b, np.linspace(0, 0.9, 5))),
    )
    np.testing.assert_allclose(found, 100**2 * angle**2, rtol=0.02)  # float32 over a way of 1e-4


def test_the_ends_are_left_out():
    lengths = np.r_[np.full(100, 5.0), 1e9].astype(np.float32)
    assert path_length.score(lengths) == (pytest.approx(5), pytest.approx(0))
