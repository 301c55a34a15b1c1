"""Mixtures of discretised logistics: probabilities that sum to one, and numbers worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.vae import logistics

LEVELS = (np.arange(256) - 127.5) / 127.5


def _outputs(mixtures, seed=0):
    return jnp.float32(np.random.default_rng(seed).normal(size=logistics.features(mixtures)))


def test_levels_sum_to_one_in_each_channel():
    """Blue, given red and green, over its 256 levels: the sum of p(r, g, b) over b is p(r, g), and
    so on down to 1, for mixtures of three. Of 16 levels of red and green here, with the mixture's
    shares written out."""
    mixture = logistics.read(_outputs(3), 3)
    grid = jnp.float32(np.stack(np.meshgrid(LEVELS[::17], LEVELS[::51], LEVELS, indexing="ij"), -1))
    spread = jax.tree.map(lambda x: jnp.broadcast_to(x, (*grid.shape[:3], *x.shape)), mixture)
    of_both = np.exp(np.float64(logistics.log_prob(spread, grid))).sum(-1)
    share = np.exp(np.float64(jax.nn.log_softmax(mixture.logits)))

    def level(x, mean, log_scale):
        cdf = lambda v: 1 / (1 + np.exp(-(v - mean) / np.exp(log_scale)))  # noqa: E731
        low = np.where(x < -0.999, 0, cdf(x - 1 / 255))
        return np.where(x > 0.999, 1, cdf(x + 1 / 255)) - low

    means, scales, c = (np.float64(x) for x in mixture[1:])
    red = level(LEVELS[::17, None, None], means[0], scales[0])
    green_mean = means[1] + c[0] * LEVELS[::17, None, None]
    green = level(LEVELS[None, ::51, None], green_mean, scales[1])
    np.testing.assert_allclose(of_both, (share * red * green).sum(-1), rtol=2e-3)


def test_one_logistic_by_hand():
    """Mean 0 and scale 0.1 in all channels, no coefficients: black, a middle level and white."""
    outputs = jnp.float32([0.0, *3 * (0.0, np.log(0.1), 0.0)])
    mixture = logistics.read(outputs, 1)
    x = jnp.float32([-1, LEVELS[128], 1])
    sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    black = np.log(sigmoid((-1 + 1 / 255) / 0.1))
    middle = np.log(sigmoid((LEVELS[128] + 1 / 255) / 0.1) - sigmoid((LEVELS[128] - 1 / 255) / 0.1))
    found = logistics.log_prob(mixture, x)
    np.testing.assert_allclose(found, 2 * black + middle, rtol=1e-4)


def test_far_from_the_mean_it_is_density_times_width():
    """Scale e^-7, the least, and a value 0.5 away: where float32 has no difference left."""
    outputs = jnp.float32([0.0, *3 * (0.0, -20.0, 0.0)])
    mixture = logistics.read(outputs, 1)
    x = jnp.full(3, np.float32(0.5))
    at = 0.5 * np.exp(7)
    expected = 3 * (-at + 7 + np.log(2 / 255))
    np.testing.assert_allclose(logistics.log_prob(mixture, x), expected, rtol=1e-5)
    slope = jax.grad(lambda o: logistics.log_prob(logistics.read(o, 1), x))(outputs)
    assert np.isfinite(slope).all()


def test_samples_have_the_means_and_follow_each_other():
    """Green is its mean plus tanh(1) times red, blue its mean plus tanh(-1) times green."""
    outputs = jnp.float32([0.0, 0.2, -4.0, 1.0, -0.1, -4.0, 0.0, 0.3, -4.0, -1.0])
    many = jnp.broadcast_to(outputs, (4000, 10))
    drawn = np.asarray(logistics.sample(logistics.read(many, 1), jax.random.key(0)))
    red, green = 0.2, -0.1 + np.tanh(1) * 0.2
    expected = [red, green, 0.3 - np.tanh(1) * green]
    np.testing.assert_allclose(drawn.mean(0), expected, atol=3e-3)
    residual = drawn[:, 1] - np.tanh(1) * drawn[:, 0]
    assert residual.std() == pytest.approx(np.pi / np.sqrt(3) * np.exp(-4), rel=0.05)


def test_mixtures_are_drawn_by_their_shares():
    """Shares 3/4 and 1/4 of two narrow logistics at -0.5 and 0.5."""
    per_channel = (-0.5, 0.5, -7, -7, 0, 0)
    outputs = jnp.float32([np.log(3), 0, *3 * per_channel])
    many = jnp.broadcast_to(outputs, (8000, 20))
    drawn = np.asarray(logistics.sample(logistics.read(many, 2), jax.random.key(1)))
    assert (drawn[:, 0] < 0).mean() == pytest.approx(0.75, abs=0.02)
    assert ((drawn < 0) == (drawn[:, :1] < 0)).all()


def test_grey_levels_sum_to_one():
    """Of one channel: two mixtures, with a logit, a mean and a log-scale each."""
    outputs = jnp.float32([0.3, -0.2, -0.5, 1.0, -2.0, -1.0])
    assert logistics.features(2, 1) == 6
    many = jnp.broadcast_to(outputs, (256, 6))
    mixture = logistics.read(many, 2, 1)
    total = np.exp(np.float64(logistics.log_prob(mixture, jnp.float32(LEVELS[:, None])))).sum()
    assert total == pytest.approx(1, abs=1e-3)
    drawn = logistics.sample(mixture, jax.random.key(0))
    assert drawn.shape == (256, 1) and np.abs(drawn).max() <= 1
