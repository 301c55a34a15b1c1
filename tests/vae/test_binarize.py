import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.vae.binarize import BINARIZE


def _batch(order=slice(None)):
    random = np.random.default_rng(0)
    image = jnp.asarray(random.integers(0, 256, (6, 8, 8, 1)), jnp.uint8)
    return {"image": image[order], "index": jnp.arange(10, 16)[order]}


def test_grey_are_the_levels():
    np.testing.assert_allclose(
        BINARIZE["grey"](_batch(), jax.random.key(0)), _batch()["image"] / 255.0, rtol=1e-6
    )


@pytest.mark.parametrize("name", ["static", "dynamic"])
def test_binary_with_the_level_as_probability(name):
    level = jnp.full((64, 16, 16, 1), 64, jnp.uint8)
    x = BINARIZE[name]({"image": level, "index": jnp.arange(64)}, jax.random.key(0))
    assert set(np.unique(x)) == {0.0, 1.0}
    assert abs(float(x.mean()) - 64 / 255) < 0.01  # 16,384 pixels: three standard errors


def test_black_and_white_stay():
    image = jnp.stack([jnp.zeros((8, 8, 1), jnp.uint8), jnp.full((8, 8, 1), 255, jnp.uint8)])
    for name in BINARIZE:
        x = BINARIZE[name]({"image": image, "index": jnp.arange(2)}, jax.random.key(0))
        np.testing.assert_array_equal(x, image / 255.0)


def test_static_depends_on_the_example_alone():
    first = BINARIZE["static"](_batch(), jax.random.key(0))
    later = BINARIZE["static"](_batch(slice(None, None, -1)), jax.random.key(1))
    np.testing.assert_array_equal(first, later[::-1])


def test_held_out_examples_have_noise_of_their_own():
    """Not that of the training examples of the same numbers."""
    first = BINARIZE["static"](_batch(), jax.random.key(0))
    assert (first != BINARIZE["static"](_batch(), jax.random.key(0), held_out=True)).any()


def test_a_held_out_example_is_drawn_alike_wherever_it_stands():
    whole, back = (
        BINARIZE["dynamic"](_batch(order), jax.random.key(0), held_out=True)
        for order in (slice(None), slice(None, None, -1))
    )
    np.testing.assert_array_equal(whole, back[::-1])


def test_dynamic_changes_with_every_visit():
    first = BINARIZE["dynamic"](_batch(), jax.random.key(0))
    assert (first != BINARIZE["dynamic"](_batch(), jax.random.key(1))).any()
