import jax
import jax.numpy as jnp
import numpy as np

from genjax import rng


def test_streams_and_seeds_differ():
    keys = {
        tuple(jax.random.key_data(rng.stream(seed, name)).tolist())
        for seed in (0, 1)
        for name in rng.Stream
    }
    assert len(keys) == 2 * len(rng.Stream)


def test_noise_of_an_example_does_not_depend_on_who_draws_it():
    key = rng.stream(0, rng.Stream.STEP)
    for draw in (rng.normal, rng.uniform):
        whole = draw(key, 8, (2, 3))
        parts = jax.vmap(
            lambda _, draw=draw: draw(key, 2, (2, 3), "data"), axis_name="data", axis_size=4
        )(jnp.arange(4))
        np.testing.assert_array_equal(parts.reshape(whole.shape), whole)


def test_noise_of_examples_by_their_numbers():
    key = rng.stream(0, rng.Stream.EVALUATE)
    for draw in (rng.normal, rng.uniform):
        picked = draw(key, jnp.array([5, 0, 7]), (2,))
        np.testing.assert_array_equal(picked, draw(key, 8, (2,))[jnp.array([5, 0, 7])])


def test_noise_has_the_right_moments():
    key = rng.stream(0, rng.Stream.STEP)
    normal, uniform = rng.normal(key, 1000, (100,)), rng.uniform(key, 1000, (100,))
    assert abs(normal.mean()) < 0.02 and abs(normal.std() - 1) < 0.02
    assert abs(uniform.mean() - 0.5) < 0.01 and uniform.min() >= 0 and uniform.max() < 1
