import jax
import jax.numpy as jnp
import numpy as np

from genjax.nn import SelfAttention, backend


def _setting():
    """(x, parameters with random kernels and gamma 0.7)."""
    numbers = np.random.default_rng(0)
    x = jnp.float32(numbers.normal(size=(2, 4, 6, 8)))
    shapes = jax.eval_shape(lambda: SelfAttention().init(jax.random.key(0), x))["params"]
    params = jax.tree.map(lambda leaf: jnp.float32(numbers.normal(size=leaf.shape)), shapes)
    return x, params | {"gamma": jnp.float32(0.7)}


def _apply(x, params):
    with backend.native():
        return jax.jit(lambda: SelfAttention().apply({"params": params}, x))()


def test_against_the_definition_in_numpy():
    """Each pixel: the values of the 2 x 2 windows, weighted by the softmax of its query's products
    with their keys; keys and values are the maxima of their windows."""
    x, params = _setting()
    theta, phi, g, o = (np.float64(params[k]["kernel"][0, 0]) for k in ("theta", "phi", "g", "o"))
    assert theta.shape == phi.shape == (8, 1) and g.shape == (8, 4) and o.shape == (4, 8)
    expected = np.float64(x)
    for picture in expected:
        windows = [(r, c) for r in range(0, 4, 2) for c in range(0, 6, 2)]
        keys, values = (
            [(picture[r : r + 2, c : c + 2] @ w).reshape(4, -1).max(0) for r, c in windows]
            for w in (phi, g)
        )
        before = picture.copy()
        for r, c in np.ndindex(4, 6):
            weights = np.exp([(before[r, c] @ theta) @ key for key in keys])
            attended = sum(w * v for w, v in zip(weights, values, strict=True)) / weights.sum()
            picture[r, c] += 0.7 * attended @ o
    np.testing.assert_allclose(_apply(x, params), expected, rtol=1e-4, atol=1e-4)


def test_begins_as_the_identity():
    x, params = _setting()
    assert set(params) == {"theta", "phi", "g", "o", "gamma"}
    begun = jax.jit(lambda: SelfAttention().init(jax.random.key(0), x)["params"]["gamma"])()
    assert begun.shape == () and begun == 0
    np.testing.assert_array_equal(_apply(x, params | {"gamma": begun}), x)
