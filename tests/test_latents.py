"""Ways between latents by hand, and what is left of a normal distribution."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from genjax import latents, rng

KEY = jax.random.key(0)


def test_the_way_is_a_great_circle_with_even_norms():
    a, b = jnp.array([[2.0, 0, 0]]), jnp.array([[0, 4.0, 0]])
    for t, norm in ((0.0, 2), (0.5, 3), (1.0, 4)):
        found = latents.spherical(a, b, jnp.array([t]))
        angle = t * np.pi / 2
        np.testing.assert_allclose(
            found, [[norm * np.cos(angle), norm * np.sin(angle), 0]], atol=1e-5
        )


def test_directions_on_one_line_have_a_way():
    found = latents.spherical(jnp.array([[2.0], [2.0]]), jnp.array([[4.0], [-4.0]]), jnp.ones(2))
    np.testing.assert_allclose(found, [[4], [-4]], rtol=1e-5)


def test_a_straight_way_by_hand():
    found = latents.linear(jnp.array([[1.0, 2]]), jnp.array([[5.0, 0]]), jnp.array([0.25]))
    np.testing.assert_array_equal(found, [[2, 1.5]])


def test_truncated_normals_are_the_normal_ones_that_lie_within():
    """Of N(0, 1) within [-1, 1] the mean square is 1 - 2 phi(1) / (2 Phi(1) - 1) = 0.2911."""
    places = np.arange(1000)
    found = jax.jit(lambda t: latents.truncated_normal(KEY, places, (4,), t))
    free, within = found(math.inf), np.asarray(found(1.0))
    np.testing.assert_array_equal(free, rng.normal(KEY, places, (4,)))
    assert np.abs(within).max() <= 1
    np.testing.assert_allclose(np.square(within).mean(), 0.2911, atol=0.015)
    np.testing.assert_array_equal(np.sign(within), np.sign(free))  # each has moved inwards
    assert (np.abs(within) <= np.abs(free)).all()
