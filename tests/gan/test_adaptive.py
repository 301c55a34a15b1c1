import jax
import jax.numpy as jnp
import numpy as np

from genjax.gan import adaptive


def test_by_hand():
    """Two steps of two updates: the mean sign is that of four batches."""
    target = adaptive.Target(sign=0.6, interval=2, updates=2, move=0.1)
    memory = adaptive.initial(0.25)
    for step in range(2):
        for real in ([1.0, 2.0], [3.0, -1.0]):
            memory = adaptive.observed(memory, jnp.array(real))
        before, memory = memory, adaptive.adjusted(target, memory, jnp.int32(step))
        if step == 0:
            assert memory["augment_p"] == 0.25 and memory["augment_signs"] == 1
    assert before["augment_signs"] == 2  # of 4: 0.5, below the target
    np.testing.assert_allclose(memory["augment_p"], 0.15, rtol=1e-6)
    assert memory["augment_signs"] == 0


def test_p_reaches_what_a_discriminator_that_overfits_needs_and_stays():
    """Its answers to 100 real images: the share that is positive falls from all by half of p."""
    target = adaptive.Target(sign=0.6, interval=4, updates=1, move=0.01)
    places = (jnp.arange(100) + 0.5) / 100

    @jax.jit
    def run():
        def step(i, memory):
            logits = 1 - 0.5 * memory["augment_p"] - places
            return adaptive.adjusted(target, adaptive.observed(memory, logits), i)

        return jax.lax.fori_loop(0, 400, step, adaptive.initial(0.0))["augment_p"]

    # 1 - p of the signs remain: 0.6 at p = 0.4.
    np.testing.assert_allclose(run(), 0.4, atol=0.021)


def test_p_is_never_below_0():
    target = adaptive.Target(sign=0.6, interval=1, updates=1, move=0.5)
    memory = adaptive.observed(adaptive.initial(0.2), jnp.array([-1.0]))
    assert adaptive.adjusted(target, memory, jnp.int32(0))["augment_p"] == 0
