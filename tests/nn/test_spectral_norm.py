import jax
import jax.numpy as jnp
import numpy as np

from genjax.nn import Conv, Dense, SpectralNorm
from genjax.nn.spectral_norm import COLLECTION


def _normal(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def _after(kernel, steps: int):
    """The variables after so many steps of the power method."""
    module = SpectralNorm()
    step = jax.jit(lambda variables: module.apply(variables, kernel, mutable=[COLLECTION])[1])
    variables = module.init(jax.random.key(0), kernel)
    for _ in range(steps):
        variables = step(variables)
    return module, variables


def test_many_steps_find_the_largest_singular_value():
    kernel = _normal(3, 3, 4, 6)
    module, variables = _after(kernel, 100)
    left, singular, right = np.linalg.svd(np.float64(kernel).reshape(-1, 6).T)
    np.testing.assert_allclose(module.apply(variables, kernel), kernel / singular[0], rtol=1e-5)
    vectors = variables[COLLECTION]
    for ours, theirs in ((vectors["u"], left[:, 0]), (vectors["v"], right[0])):
        np.testing.assert_allclose(ours * np.sign(ours @ theirs), theirs, atol=1e-4)


def test_a_diagonal_kernel_is_divided_by_its_largest_entry():
    kernel = jnp.diag(jnp.array([0.5, -4.0, 1.0]))
    module, variables = _after(kernel, 30)
    np.testing.assert_allclose(module.apply(variables, kernel), kernel / 4, rtol=1e-6)


def test_one_step_by_hand():
    kernel = jnp.array([[2.0, 0.0], [0.0, 1.0]])
    u = jnp.array([0.6, 0.8])
    first = {COLLECTION: {"u": u, "v": jnp.array([1.0, 0.0])}}
    normed, updated = SpectralNorm().apply(first, kernel, mutable=[COLLECTION])
    v = np.array([1.2, 0.8]) / np.sqrt(2.08)  # W'u = (1.2, 0.8)
    wv = np.array([2.4, 0.8]) / np.sqrt(2.08)  # and |Wv| is sigma
    np.testing.assert_allclose(updated[COLLECTION]["v"], v, rtol=1e-6)
    np.testing.assert_allclose(updated[COLLECTION]["u"], wv / np.linalg.norm(wv), rtol=1e-6)
    np.testing.assert_allclose(normed, kernel / np.linalg.norm(wv), rtol=1e-6)
    # Without a step: sigma = u·Wv of the vectors as they are, 0.6 * 2.
    np.testing.assert_allclose(SpectralNorm().apply(first, kernel), kernel / 1.2, rtol=1e-6)


def test_gradients_go_through_the_kernel_alone():
    """d(W / sigma) with sigma = u·Wv: G / sigma - <G, W> u v' / sigma^2."""
    kernel, weight = _normal(5, 3), _normal(5, 3)[::-1]
    module, variables = _after(kernel, 2)
    updated = module.apply(variables, kernel, mutable=[COLLECTION])[1]
    u, v = (np.float64(updated[COLLECTION][name]) for name in "uv")
    w, g = np.float64(kernel), np.float64(weight)
    sigma = v @ w @ u
    expected = g / sigma - (g * w).sum() * np.outer(v, u) / sigma**2

    def total(kernel):
        return jnp.sum(weight * module.apply(variables, kernel, mutable=[COLLECTION])[0])

    np.testing.assert_allclose(jax.grad(total)(kernel), expected, rtol=1e-4, atol=1e-5)


def test_layers_use_the_normalised_kernel_in_float32():
    x = _normal(2, 4, 4, 3)
    for layer, inputs in ((Conv, x), (Dense, x.reshape(2, -1))):
        shape = (6, 3) if layer is Conv else (6,)
        module = layer(*shape, kernel_norm=SpectralNorm, dtype=jnp.bfloat16)
        variables = module.init(jax.random.key(0), inputs)
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
        # Twice the kernel is the same layer.
        twice = jax.tree.map(lambda x: 2 * x, variables["params"])
        np.testing.assert_allclose(
            np.float32(module.apply(variables | {"params": twice}, inputs)),
            np.float32(module.apply(variables, inputs)),
            rtol=1e-6,
        )
