"""Sums over all axes but the last, by hand and against their definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.nn import sums
from genjax.nn.sums import spread, total


def test_by_hand():
    x = jnp.arange(8.0).reshape(2, 2, 2)
    np.testing.assert_array_equal(total(x), [0 + 2 + 4 + 6, 1 + 3 + 5 + 7])
    np.testing.assert_array_equal(spread(jnp.array([1.0, 2.0]), (2, 2)), [[1, 2], [1, 2]])


@pytest.mark.parametrize("spelled_out", [True, False])
def test_a_bias_and_its_gradient(spelled_out, monkeypatch):
    monkeypatch.setattr(sums, "spelled_out", lambda: spelled_out)
    y, bias = jnp.arange(6.0).reshape(3, 2), jnp.array([10.0, 20.0])
    moved, back = jax.vjp(sums.with_bias, y, bias)
    np.testing.assert_array_equal(moved, [[10, 21], [12, 23], [14, 25]])
    of_y, of_bias = back(y)
    np.testing.assert_array_equal(of_y, y)
    np.testing.assert_array_equal(of_bias, [0 + 2 + 4, 1 + 3 + 5])


@pytest.mark.parametrize("spelled_out", [True, False])
@pytest.mark.parametrize("shape", [(3,), (5, 3), (4, 5, 3), (4, 5, 6, 3)])
def test_each_is_the_others_transpose_to_any_order(shape, spelled_out, monkeypatch):
    monkeypatch.setattr(sums, "spelled_out", lambda: spelled_out)
    random = np.random.default_rng(0)
    x, v = (jnp.asarray(random.normal(size=size), jnp.float32) for size in (shape, (3,)))

    def everything(total, spread):
        def mixed(x, v):  # both, nonlinearly
            return jnp.sum(jnp.sin(total(jnp.tanh(x * spread(v, shape)))) * v)

        def penalty(x, v):
            return sum(jnp.sum(slope**2) for slope in jax.grad(mixed, (0, 1))(x, v))

        return mixed(x, v), jax.grad(mixed, (0, 1))(x, v), jax.grad(penalty, (0, 1))(x, v)

    axes = tuple(range(len(shape) - 1))
    found = everything(total, spread)
    expected = everything(lambda x: x.sum(axes), jnp.broadcast_to)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
