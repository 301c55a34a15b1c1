import jax
import jax.numpy as jnp
import numpy as np

from genjax.gan import lecam

OPTIONS = lecam.LeCam(weight=0.3, decay=0.9, start=5)
MEMORY = {"lecam_real": jnp.float32(0.2), "lecam_fake": jnp.float32(-0.1), "other": jnp.ones(())}
REAL, FAKE = jnp.array([1.0, -1.0]), jnp.array([0.5, 0.1])


def test_by_hand():
    """The averages become 0.9 · 0.2 + 0.1 · 0 and 0.9 · -0.1 + 0.1 · 0.3 before they are used."""
    values, memory = lecam.penalty(OPTIONS, MEMORY, REAL, FAKE, jnp.int32(5))
    np.testing.assert_allclose(memory["lecam_real"], 0.18, rtol=1e-6)
    np.testing.assert_allclose(memory["lecam_fake"], -0.06, rtol=1e-6)
    assert memory["other"] == 1
    np.testing.assert_allclose(values, [0.3 * 1.06**2, 0.3 * 0.08**2], rtol=1e-5)
    slope = jax.grad(lambda x: lecam.penalty(OPTIONS, MEMORY, x, FAKE, jnp.int32(5))[0].sum())(REAL)
    np.testing.assert_allclose(slope, [0.3 * 2 * 1.06, 0], rtol=1e-5)  # none through the averages


def test_before_its_start_the_averages_are_the_batch_and_there_is_no_penalty():
    values, memory = lecam.penalty(OPTIONS, MEMORY, REAL, FAKE, jnp.int32(4))
    np.testing.assert_array_equal(values, [0, 0])
    np.testing.assert_allclose([memory["lecam_real"], memory["lecam_fake"]], [0, 0.3], atol=1e-7)


def test_averages_are_of_the_global_batch():
    shards = jax.vmap(
        lambda r, f: lecam.penalty(OPTIONS, MEMORY, r, f, jnp.int32(5), "data"), axis_name="data"
    )
    values, memory = shards(REAL[:, None], FAKE[:, None])
    whole, expected = lecam.penalty(OPTIONS, MEMORY, REAL, FAKE, jnp.int32(5))
    np.testing.assert_allclose(values.ravel(), whole, rtol=1e-6)
    np.testing.assert_allclose(memory["lecam_fake"], [expected["lecam_fake"]] * 2, rtol=1e-6)
