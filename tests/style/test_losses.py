import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.style import losses


def test_gram_by_hand():
    # Two pixels with features (1, 2) and (3, 4): sums 1 + 9, 2 + 12, 4 + 16 over two pixels.
    features = jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2)
    np.testing.assert_allclose(losses.gram(features), [[[5.0, 7.0], [7.0, 10.0]]])
    np.testing.assert_allclose(losses.gram(features, "chw"), [[[2.5, 3.5], [3.5, 5.0]]])


def test_the_gradient_of_the_gram_matrix_is_that_of_its_definition():
    """Also for an upstream gradient that is not symmetric."""
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=(2, 3, 4, 5)), jnp.float32)
    weight = jnp.asarray(random.normal(size=(2, 5, 5)), jnp.float32)

    def definition(x):
        return sum(x[:, i, j, :, None] * x[:, i, j, None] for i in range(3) for j in range(4)) / 12

    ours, theirs = (
        jax.jit(jax.grad(lambda x, f=f: jnp.sum(weight * f(x))))(x)
        for f in (losses.gram, definition)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_gram_forgets_places():
    features = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 4, 3)), jnp.float32)
    shuffled = jax.random.permutation(jax.random.key(0), features.reshape(16, 3)).reshape(
        1, 2, 8, 3
    )
    np.testing.assert_allclose(losses.gram(features), losses.gram(shuffled), rtol=1e-5, atol=1e-6)


def test_gram_sums_are_float32():
    features = jnp.ones((1, 64, 64, 2), jnp.bfloat16)  # 4096 ones: bfloat16 stops counting at 256
    np.testing.assert_array_equal(losses.gram(features), jnp.ones((1, 2, 2)))


def test_total_variation_by_hand():
    image = jnp.array([[0.0, 1.0], [2.0, 4.0]]).reshape(1, 2, 2, 1)
    # Down: 2^2 + 3^2; right: 1^2 + 2^2; half of their sum.
    np.testing.assert_allclose(losses.total_variation(image), [9.0])


def test_total_variation_gradient_is_neural_styles():
    """Its code adds, for each pixel, the differences to the neighbour below and to the right."""
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    gradient = np.zeros_like(x)
    down, right = x[:-1, :-1] - x[1:, :-1], x[:-1, :-1] - x[:-1, 1:]
    gradient[:-1, :-1] += down + right
    gradient[1:, :-1] -= down
    gradient[:-1, 1:] -= right
    ours = jax.grad(lambda x: losses.total_variation(x[None, :, :, None])[0])(jnp.asarray(x))
    # It leaves out the last row's and the last column's own differences; ours has them.
    np.testing.assert_allclose(ours[:-2, :-2], gradient[:-2, :-2], rtol=1e-5, atol=1e-6)


def test_nine_point_variation_by_hand():
    """Rows 0 1 and 2 4, with their border repeated once."""
    image = jnp.array([[0.0, 1.0], [2.0, 4.0]]).reshape(1, 2, 2, 1)
    straight = (1 + 4) / 4 + (4 + 9) / 4  # right and down, of the four pixels
    # 0 0 1 1 | 0 0 1 1 | 2 2 4 4 | 2 2 4 4: the nine squares on each kind of diagonal
    falling = (0 + 1 + 0) + (4 + 16 + 9) + (0 + 4 + 0)
    rising = (0 + 1 + 0) + (4 + 1 + 9) + (0 + 4 + 0)
    expected = 2 * (straight / 3 + (falling + rising) / 9 / 12)
    np.testing.assert_allclose(losses.nine_point_variation(image), [expected], rtol=1e-6)


@pytest.mark.parametrize("shape", [(4, 5), (2, 2), (1, 3), (1, 1)])
def test_nine_point_variation_and_its_gradient(shape):
    """A sum of squares changes by exactly its gradient, between equal steps to either side."""
    image = np.random.default_rng(0).normal(size=(1, *shape, 2)).astype(np.float32)
    pixels = np.eye(image.size, dtype=np.float32).reshape(-1, *image.shape[1:])
    ahead, behind = (losses.nine_point_variation(image + s * pixels) for s in (1, -1))
    expected = 3 * (np.asarray(ahead) - behind).reshape(image.shape) / 2
    found = jax.grad(lambda x: 3 * losses.nine_point_variation(x)[0])(jnp.asarray(image))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_nine_point_variation_of_a_slope_has_no_direction():
    y, x = np.mgrid[:200, :200] / 200
    found = [
        losses.nine_point_variation(jnp.asarray(s, jnp.float32)[None, :, :, None])[0]
        for s in (x, (x + y) / 2**0.5, (x - y) / 2**0.5)
    ]
    np.testing.assert_allclose(found, 1 / 200**2, rtol=0.02)


def test_mean_squared_error_by_hand():
    a, b = jnp.array([[1.0, 2.0], [0.0, 0.0]]), jnp.array([[1.0, 4.0], [3.0, 0.0]])
    np.testing.assert_allclose(losses.mean_squared_error(a, b), [2.0, 4.5])
