import jax.numpy as jnp
import numpy as np

from genjax.gan.weights import clip, orthogonal_gradient


def test_clipping_reaches_every_parameter():
    params = {"kernel": jnp.array([[0.5, -0.5]]), "bias": jnp.array([0.004, -1.0])}
    found = clip(params, 0.01)
    np.testing.assert_allclose(found["kernel"], [[0.01, -0.01]])
    np.testing.assert_allclose(found["bias"], [0.004, -0.01])


def test_orthogonal_gradient_by_hand():
    """Rows (1, 0) and (1, 2): their product is 1, so each is pulled along the other, twice."""
    rows = np.array([[1.0, 0.0], [1.0, 2.0]])
    expected = 2 * np.array([[1.0, 2.0], [1.0, 0.0]])
    params = {"layer": {"kernel": jnp.asarray(rows.T), "bias": jnp.ones(2)}}
    found = orthogonal_gradient(params)["layer"]
    np.testing.assert_allclose(found["kernel"], expected.T)
    np.testing.assert_allclose(found["bias"], [0, 0])
    embeddings = {"classes": {"embedding": jnp.asarray(rows)}}
    shared = {"shared": {"embedding": jnp.asarray(rows)}}
    found = orthogonal_gradient(embeddings | shared)
    np.testing.assert_allclose(found["classes"]["embedding"], expected)
    np.testing.assert_allclose(found["shared"]["embedding"], np.zeros((2, 2)))


def test_orthogonal_gradient_is_half_of_a_derivative():
    """Of the sum of squares beside the diagonal of W W^T, by differences in float64."""
    rows = np.random.default_rng(0).normal(size=(3, 8))

    def total(rows):
        gram = rows @ rows.T
        return np.square(gram - np.diag(np.diag(gram))).sum()

    kernel = jnp.asarray(rows.T.reshape(2, 2, 2, 3))
    found = orthogonal_gradient({"kernel": kernel})["kernel"].reshape(8, 3).T
    direction = np.random.default_rng(1).normal(size=rows.shape)
    slope = (total(rows + 1e-5 * direction) - total(rows - 1e-5 * direction)) / 2e-5
    np.testing.assert_allclose(2 * np.vdot(found, direction), slope, rtol=1e-4)
