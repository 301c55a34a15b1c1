import jax
import jax.numpy as jnp
import numpy as np

from genjax.gan import consistency
from genjax.gan.consistency import Consistency

KEY = jax.random.key(0)
IMAGES = np.random.default_rng(0).normal(size=(6, 16, 16, 2)).astype(np.float32)
OFF = Consistency(0.0, 0.0, 0.0, 0.0, 0.05)


def test_images_are_mirrored_and_shifted_by_up_to_an_eighth():
    """By up to 2 of 16 px; beyond an edge lies the image, reflected."""
    found = jax.jit(consistency.moved)(jnp.asarray(IMAGES), KEY)
    keys = [jax.random.fold_in(KEY, i) for i in range(6)]
    numbers = np.stack([jax.random.uniform(key, (3,)) for key in keys])
    for x, u, y in zip(IMAGES, numbers, found, strict=True):
        x = x[:, ::-1] if u[0] < 0.5 else x
        down, right = (int(v * 5) - 2 for v in u[1:])
        around = np.pad(x, ((2, 2), (2, 2), (0, 0)), mode="reflect")
        np.testing.assert_array_equal(y, around[2 + down : 18 + down, 2 + right : 18 + right])
    assert 0 < (numbers[:, 0] < 0.5).sum() < 6


def test_a_discriminator_that_looks_at_a_pixel_pays_for_its_moves():
    def judge(x):
        return x[:, 0, 0, 0]

    real, fake = jnp.asarray(IMAGES), jnp.asarray(IMAGES[::-1].copy())
    pairs = ((real, judge(real)), (fake, judge(fake)))

    def cost(options, near=None):
        return consistency.of_discriminator(options, judge, pairs, near, KEY)

    moved = [consistency.moved(x, jax.random.fold_in(KEY, i)) for i, x in enumerate((real, fake))]
    of_real, of_fake = (
        np.square(judge(x) - judge(y)) for x, y in zip((real, fake), moved, strict=True)
    )
    np.testing.assert_allclose(cost(OFF._replace(real=10.0)), 10 * of_real, rtol=1e-5)
    both = OFF._replace(real=10.0, fake=5.0)
    np.testing.assert_allclose(cost(both), 10 * of_real + 5 * of_fake, rtol=1e-5)
    latents = OFF._replace(z_discriminator=20.0)
    np.testing.assert_allclose(cost(latents, fake + 0.5), [20 * 0.25] * 6, rtol=1e-5)


def test_a_generator_gains_by_telling_near_latents_apart():
    x = jnp.asarray(IMAGES)
    found = consistency.of_generator(OFF._replace(z_generator=0.5), x, x + 2)
    np.testing.assert_allclose(found, [-0.5 * 4] * 6, rtol=1e-5)
