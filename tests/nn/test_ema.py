import jax.numpy as jnp
import numpy as np

from genjax.nn import ema


def test_half_life_by_hand():
    # Late in a run, half of the old average is left after a half-life of images.
    average = jnp.float32(1)
    for step in range(10_000, 10_004):
        average = ema.update(average, jnp.float32(0), jnp.int32(step), 25, half_life=100)
    np.testing.assert_allclose(average, 0.5, rtol=1e-6)


def test_first_average_is_the_value():
    np.testing.assert_array_equal(
        ema.update(jnp.ones(3), jnp.full(3, 5.0), jnp.int32(0), 64, half_life=1e6), [5.0] * 3
    )


def test_ramp_limits_the_half_life():
    # After 40 batches of 25, 1000 images: 5 % of them are 50, a half-life of two batches.
    new = ema.update(jnp.float32(1), jnp.float32(0), jnp.int32(40), 25, half_life=1e6, ramp=0.05)
    np.testing.assert_allclose(new, 2**-0.5, rtol=1e-6)
