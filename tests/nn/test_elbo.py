import jax
import jax.numpy as jnp
import numpy as np

from genjax.nn import elbo


def _normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_bernoulli_by_hand():
    # p = sigmoid(log 3) = 3/4: log p(1) + log p(0) = log 3/4 + log 1/4.
    logits = jnp.full((1, 2), jnp.log(3.0))
    value = elbo.bernoulli_log_likelihood(jnp.array([[1.0, 0.0]]), logits)
    np.testing.assert_allclose(value, [np.log(3 / 16)], rtol=1e-6)


def test_bernoulli_is_finite_where_probabilities_are_not():
    value = elbo.bernoulli_log_likelihood(jnp.array([[0.0, 1.0]]), jnp.array([[300.0, 300.0]]))
    np.testing.assert_allclose(value, [-300.0])


def test_gaussian_by_hand():
    x, mean = jnp.array([[1.0, 3.0]]), jnp.array([[1.0, 1.0]])
    expected = -np.log(2 * np.pi * 4) - 0.5  # sigma 2: the second pixel is one sigma off
    value = elbo.gaussian_log_likelihood(x, mean, jnp.log(2.0))
    np.testing.assert_allclose(value, [expected], rtol=1e-6)


def test_kl_by_hand():
    # KL(N(m, s^2) || N(0, 1)) = (m^2 + s^2 - 1) / 2 - log s
    value = elbo.kl_to_standard_normal(jnp.array([[2.0, 0.0]]), jnp.log(jnp.array([[9.0, 1.0]])))
    np.testing.assert_allclose(value, [[(4 + 9 - 1) / 2 - np.log(3), 0]], rtol=1e-6)


def test_kl_is_the_mean_log_ratio():
    """Against an independent estimate: the mean of log q(z) - log p(z) over samples of q."""
    mean, log_variance = jnp.array([[0.5, -1.0]]), jnp.array([[0.3, -0.7]])
    z = mean + jnp.exp(0.5 * log_variance) * _normal(200_000, 2)
    log_q = -0.5 * (jnp.square(z - mean) * jnp.exp(-log_variance) + log_variance)
    estimate = (log_q + 0.5 * jnp.square(z)).sum(axis=1).mean()
    value = elbo.kl_to_standard_normal(mean, log_variance).sum()
    np.testing.assert_allclose(value, estimate, rtol=0.01)


def test_elbo_is_exact_for_a_linear_model():
    """p(z) = N(0, 1), p(x|z) = N(a z, s^2): the posterior as q makes the ELBO log p(x)."""
    a, s, x = 1.5, 0.7, jnp.array([[0.8]])
    variance = 1 / (1 + a**2 / s**2)
    mean = variance * a / s**2 * x
    z = mean + jnp.sqrt(variance) * _normal(400_000, 1)
    likelihood = elbo.gaussian_log_likelihood(
        jnp.broadcast_to(x, z.shape), a * z, jnp.float32(np.log(s))
    ).mean()
    kl = elbo.kl_to_standard_normal(mean, jnp.full((1, 1), np.log(variance)))
    total = a**2 + s**2
    log_evidence = -0.5 * (np.log(2 * np.pi * total) + 0.8**2 / total)
    np.testing.assert_allclose(likelihood - kl[0, 0], log_evidence, rtol=5e-3)


def test_one_value_per_example():
    x = jax.nn.sigmoid(_normal(3, 4, 5, 1))
    assert elbo.bernoulli_log_likelihood(x, _normal(3, 4, 5, 1)).shape == (3,)
    assert elbo.gaussian_log_likelihood(x, x, jnp.float32(0)).shape == (3,)
