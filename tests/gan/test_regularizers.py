"""Penalties with closed forms, and the gradient of others against differences in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.gan.regularizers import REGULARIZERS, dragan, gradient_penalty, r1, r1_r2, r2
from genjax.nn.conv import conv

KEY = jax.random.key(0)


def _normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


REAL, FAKE = _normal(0, 3, 2, 2, 1), _normal(1, 3, 2, 2, 1)


def test_gradient_penalty_of_a_linear_critic():
    """Its slope is w everywhere: (|w| - 1)^2."""
    w = jnp.array([3.0, 0.0, 4.0, 0.0]).reshape(1, 2, 2, 1)
    values = gradient_penalty(lambda x: (w * x).sum((1, 2, 3)), REAL, FAKE, KEY)
    np.testing.assert_allclose(values, [16.0] * 3, rtol=1e-6)


def test_gradient_penalty_is_between_the_images():
    """The slope of |x|^2 / 2 is x: on a line from 0 to a real image, |x| = alpha |real|."""
    values = gradient_penalty(
        lambda x: 0.5 * jnp.square(x).sum((1, 2, 3)), REAL, jnp.zeros_like(REAL), KEY
    )
    norms = np.linalg.norm(np.reshape(REAL, (3, -1)), axis=1)
    alpha = (1 + np.sqrt(values)[:, None] * [[-1, 1]]) / norms[:, None]  # either root
    alpha = [next(a for a in pair if 0 <= a <= 1) for pair in alpha]
    assert len(set(np.round(alpha, 4))) == 3  # one place a pair


def test_a_flat_critic_has_a_penalty_and_a_gradient():
    """The norm has no derivative at 0; NaN would spoil every parameter."""

    def total(scale):
        return gradient_penalty(lambda x: (scale * x).sum((1, 2, 3)), REAL, FAKE, KEY).sum()

    value, slope = jax.value_and_grad(total)(jnp.float32(0))
    np.testing.assert_allclose(value, 3.0, rtol=1e-6)
    assert slope == 0


def test_r1_of_a_quadratic_critic():
    """The slope of a |x|^2 / 2 is a x: a^2 |x|^2 / 2, at real images whatever the others are."""
    values = r1(lambda x: 1.5 * jnp.square(x).sum((1, 2, 3)), REAL, FAKE, KEY)
    np.testing.assert_allclose(values, 4.5 * np.square(REAL).sum((1, 2, 3)), rtol=1e-5)


def test_r2_is_of_generated_images_and_r3gan_has_both():
    def critic(x):
        return 1.5 * jnp.square(x).sum((1, 2, 3))

    of_real, of_fake = (4.5 * np.square(x).sum((1, 2, 3)) for x in (REAL, FAKE))
    np.testing.assert_allclose(r2(critic, REAL, FAKE, KEY), of_fake, rtol=1e-5)
    np.testing.assert_allclose(r1_r2(critic, REAL, FAKE, KEY), of_real + of_fake, rtol=1e-5)


def test_dragan_is_around_real_images():
    """The slope of |x|^2 / 2 is x, beyond the image by up to half of the deviation of the batch;
    and two shards take the deviation and the random numbers of the whole."""
    images = _normal(2, 4, 2, 2, 1)

    @jax.jit
    def whole_and_shards(images):
        def critic(x):
            return 0.5 * jnp.square(x).sum((1, 2, 3))

        sharded = jax.vmap(lambda x: dragan(critic, x, x, KEY, "data"), axis_name="data")
        shards = sharded(images.reshape(2, 2, *images.shape[1:])).ravel()
        keys = [[jax.random.fold_in(key, i) for i in range(4)] for key in jax.random.split(KEY)]
        a = jnp.stack([jax.random.uniform(key, (1, 1, 1)) for key in keys[0]])
        u = jnp.stack([jax.random.uniform(key, images.shape[1:]) for key in keys[1]])
        return dragan(critic, images, images, KEY), shards, a, u

    whole, shards, a, u = whole_and_shards(images)
    x = np.asarray(images) + 0.5 * np.std(images, ddof=1) * a * u
    expected = (np.linalg.norm(x.reshape(4, -1), axis=1) - 1) ** 2
    np.testing.assert_allclose(whole, expected, rtol=1e-4)
    np.testing.assert_allclose(shards, expected, rtol=1e-4)


def _critic(params, x):
    """A smooth one, over the convolutions whose gradients are spelled out."""
    y = jnp.tanh(conv(x, params["first"], 2, ((1, 1), (1, 1))))
    y = jnp.tanh(conv(y, params["second"], 1, ((1, 1), (1, 1))))
    return y.reshape(len(x), -1) @ params["last"]


@pytest.mark.parametrize("name", REGULARIZERS)
def test_second_derivatives_of_convolutions(name):
    """d penalty / d parameters along a direction, against central differences in float64."""
    images = np.random.default_rng(0).normal(size=(2, 6, 6, 1))
    if name == "dragan":  # its noise, other numbers in float64, is as large as pixels deviate
        images = np.full_like(images, 0.5)
    numbers = np.random.default_rng(1)
    shapes = {"first": (4, 4, 1, 3), "second": (3, 3, 3, 2), "last": (18,)}
    params = {key: numbers.normal(size=shape) for key, shape in shapes.items()}
    direction = {key: numbers.normal(size=shape) for key, shape in shapes.items()}

    def total(params, x):
        # The same images twice: wherever between them, the penalty is there.
        return REGULARIZERS[name](partial(_critic, params), x, x, KEY).sum()

    slopes = jax.jit(jax.grad(total))(jax.tree.map(jnp.float32, params), jnp.float32(images))
    ours = sum(np.vdot(slopes[key], direction[key]) for key in shapes)
    with jax.enable_x64(True):
        step, value = 1e-5, jax.jit(total)
        ends = [
            float(value({k: x + sign * step * direction[k] for k, x in params.items()}, images))
            for sign in (1, -1)
        ]
    np.testing.assert_allclose(ours, (ends[0] - ends[1]) / (2 * step), rtol=1e-4)
