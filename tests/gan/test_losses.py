import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.gan.losses import LOSSES, with_classes

LOG2, SOFTPLUS1 = np.log(2), np.log1p(np.exp(1))
LABEL = jnp.zeros(2, jnp.int32)


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [  # of logits real = [0, 1], fake = [0, -1]; log(1 + e^-1) = softplus(1) - 1
        ("non_saturating", [2 * LOG2, 2 * (SOFTPLUS1 - 1)], [LOG2, SOFTPLUS1]),
        ("minimax", [2 * LOG2, 2 * (SOFTPLUS1 - 1)], [-LOG2, 1 - SOFTPLUS1]),
        ("least_squares", [0.5, 0.5], [0.5, 2.0]),
        ("hinge", [2.0, 0.0], [0.0, 1.0]),
        ("wasserstein", [0.0, -2.0], [0.0, 1.0]),
        # softplus(fake - real) of differences 0 and -2, and softplus(real - fake) of 0 and 2
        ("relativistic", [LOG2, np.log1p(np.exp(-2))], [LOG2, np.log1p(np.exp(2))]),
        # The means are 1/2 and -1/2. D: softplus(-1/2 - real) + softplus(fake - 1/2); G: both back.
        (
            "relativistic_average",
            [2 * np.log1p(np.exp(-0.5)), 2 * np.log1p(np.exp(-1.5))],
            [2 * np.log1p(np.exp(0.5)), 2 * np.log1p(np.exp(1.5))],
        ),
    ],
)
def test_by_hand(name, discriminator, generator):
    real, fake = jnp.array([0.0, 1.0]), jnp.array([0.0, -1.0])
    loss = LOSSES[name]
    np.testing.assert_allclose(loss.discriminator(real, fake, LABEL), discriminator, rtol=1e-6)
    beside = real if loss.relativistic else None
    np.testing.assert_allclose(loss.generator(beside, fake, LABEL), generator, rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_finite_for_extreme_logits(name):
    extreme = jnp.array([-1e4, 1e4])
    loss = LOSSES[name]

    def generator(x):
        return loss.generator(-extreme if loss.relativistic else None, x, LABEL)

    for value in (loss.discriminator(extreme, -extreme, LABEL), generator(extreme)):
        assert jnp.isfinite(value).all()
    assert jnp.isfinite(jax.grad(lambda x: generator(x).sum())(extreme)).all()


def test_generator_descends_towards_real():
    for loss in LOSSES.values():
        assert jax.grad(lambda x, g=loss.generator: g(jnp.float32(0), x, LABEL))(-1.0) < 0


def test_averages_are_of_the_global_batch():
    """Two shards of a mapped axis have the losses, and together the gradients, of the whole."""
    real, fake = jnp.array([0.0, 1.0, 3.0, 4.0]), jnp.array([0.0, -1.0, 2.0, -2.0])
    loss, label = LOSSES["relativistic_average"], jnp.zeros(4, jnp.int32)

    def mean(losses):
        return lambda fake, real: losses.discriminator(real, fake, label).mean()

    shards = jax.vmap(jax.value_and_grad(mean(loss.over("data"))), axis_name="data")
    values, slopes = shards(fake.reshape(2, 2), real.reshape(2, 2))
    whole, expected = jax.value_and_grad(mean(loss.over(None)))(fake, real)
    np.testing.assert_allclose(values.mean(), whole, rtol=1e-6)
    np.testing.assert_allclose(slopes.ravel() / 2, expected, rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_with_classes_adds_cross_entropies(name):
    """Class logits 0, log 2 and 0 of an image of class 1: -log(2/4); of class 0: -log(1/4)."""
    real, fake = jnp.array([0.0, 1.0]), jnp.array([0.0, -1.0])
    certain, plain = jnp.array([[0.0, 800.0, 0.0]] * 2), LOSSES[name]
    even, label = jnp.array([[0.0, LOG2, 0.0]] * 2), jnp.array([1, 0])
    loss = with_classes(plain)
    assert loss.relativistic == plain.relativistic
    np.testing.assert_allclose(
        loss.discriminator((real, even), (fake, even), label)
        - plain.discriminator(real, fake, label),
        [2 * LOG2, 4 * LOG2],
        rtol=1e-5,
    )
    on_real = (real, even) if plain.relativistic else None
    np.testing.assert_allclose(
        loss.generator(on_real, (fake, certain), label)
        - plain.generator(real if plain.relativistic else None, fake, label),
        [0, 800],
        rtol=1e-5,
    )
