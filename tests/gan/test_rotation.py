import jax
import jax.numpy as jnp
import numpy as np

from genjax.gan import rotation

IMAGES = np.random.default_rng(0).normal(size=(8, 3, 3, 1)).astype(np.float32)


def test_each_quarter_of_a_batch_is_turned_by_another_angle():
    images, quarters = rotation.turned(jnp.asarray(IMAGES))
    np.testing.assert_array_equal(quarters, [0, 1, 2, 3, 0, 1, 2, 3])
    for x, y, k in zip(IMAGES, images, quarters, strict=True):
        np.testing.assert_array_equal(y, np.rot90(x, k))


def test_the_turn_follows_from_the_place_in_the_global_batch():
    shards = jax.vmap(lambda x: rotation.turned(x, "data"), axis_name="data")
    images, quarters = shards(jnp.asarray(IMAGES.reshape(4, 2, 3, 3, 1)))
    np.testing.assert_array_equal(quarters.ravel(), [0, 1, 2, 3] * 2)
    np.testing.assert_array_equal(
        images.reshape(IMAGES.shape), rotation.turned(jnp.asarray(IMAGES))[0]
    )


def test_the_loss_is_a_cross_entropy():
    head = jnp.array([[0.0, 0.0, 0.0, 0.0], [np.log(3), 0.0, 0.0, 0.0]])
    found = rotation.loss((None, head), jnp.array([2, 0]))
    np.testing.assert_allclose(found, [np.log(4), np.log(2)], rtol=1e-6)
