"""Path lengths of a generator that is linear, whose Jacobian is known."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax import rng
from genjax.gan import path_length

KEY = jax.random.key(0)


def test_lengths_of_a_linear_generator():
    """Pictures are A w1 + 2 A w2: the slopes by the styles are Aᵀy and 2 Aᵀy."""
    random = np.random.default_rng(0)
    a = random.normal(size=(3, 4, 2, 5)).astype(np.float32)  # [H, W, C, style]

    def draw(ws):
        return jnp.einsum("hwcs,bs->bhwc", a, ws[:, 0] + 2 * ws[:, 1])

    ws = jnp.asarray(random.normal(size=(6, 2, 5)), jnp.float32)
    found = path_length.path_lengths(draw, ws, KEY)
    y = rng.normal(KEY, 6, (3, 4, 2)) / 12**0.5
    slope = np.einsum("hwcs,bhwc->bs", a, y)
    expected = np.sqrt((1 + 4) * np.square(slope).sum(1) / 2)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_penalty_by_hand():
    """Of lengths 1 and 3, whose mean is 2, and a running mean of 10: it moves to 9.92."""
    lengths = jnp.array([1.0, 3.0])
    values, mean = path_length.penalty(lengths, jnp.float32(10), 0.99)
    np.testing.assert_allclose(values, [8.92**2, 6.92**2], rtol=1e-5)
    np.testing.assert_allclose(mean, 9.92, rtol=1e-6)
    # By length i: 2 (l_i - m) - 0.01 / 2 * 2 * Σ (l - m), as the batch is a part of the mean.
    slopes = jax.grad(lambda x: path_length.penalty(x, jnp.float32(10), 0.99)[0].sum())(lengths)
    shared = 0.01 * (8.92 + 6.92)
    np.testing.assert_allclose(slopes, [-2 * 8.92 + shared, -2 * 6.92 + shared], rtol=1e-5)
    assert jax.grad(lambda x: path_length.penalty(x, jnp.float32(10), 0.99)[1])(lengths).max() == 0
