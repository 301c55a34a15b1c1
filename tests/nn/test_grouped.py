"""Grouped convolution, as one convolution and as products of matrices, against XLA's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.nn import backend
from genjax.nn.grouped import grouped_conv


def _inputs(groups):
    random = np.random.default_rng(0)
    shapes = (2, 4, 5, 3 * groups), (3, 3, 3, 2 * groups), (2, 4, 5, 2 * groups)
    return (jnp.asarray(random.normal(size=shape), jnp.float32) for shape in shapes)


@pytest.mark.parametrize("groups", [4, 20])
def test_values_and_gradients_are_the_native_ones(groups):
    x, kernel, g = _inputs(groups)

    def all_of(x, kernel):
        y, back = jax.vjp(grouped_conv, x, kernel)
        # The penalty's: gradients of a gradient.
        twice = jax.grad(
            lambda k: jnp.square(jax.grad(lambda x: jnp.vdot(grouped_conv(x, k) ** 2, g))(x)).sum()
        )
        return y, back(g), twice(kernel)

    ours = jax.jit(all_of)(x, kernel)
    with backend.native():
        native = jax.jit(lambda *inputs: all_of(*inputs))(x, kernel)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), ours, native)


def test_one_group_alone():
    """What stands in a group depends on that group's channels."""
    x, kernel, _ = _inputs(2)
    conv = jax.jit(grouped_conv)
    y, changed = (
        np.asarray(conv(x + step, kernel))
        for step in (0, np.repeat([0, 1.0], 3)[None, None, None].astype("f"))
    )
    np.testing.assert_array_equal(y[..., :2], changed[..., :2])
    assert np.abs(y - changed)[..., 2:].min() > 0
