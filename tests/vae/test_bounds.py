"""Bounds against closed forms of a linear model, and gradients against sums written out.

p(z) = N(0, 1), p(x | z) = N(a z, s^2), so that log p(x) and the posterior are known.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from genjax import vae_keys
from genjax.errors import UserError
from genjax.nn.elbo import kl_to_standard_normal
from genjax.vae import bounds
from genjax.vae.bounds import Terms, log_normal, sampled

A, S, X = 1.5, 0.7, 0.8
EVIDENCE = -0.5 * (np.log(2 * np.pi * (A**2 + S**2)) + X**2 / (A**2 + S**2))
VARIANCE = 1 / (1 + A**2 / S**2)
MEAN = VARIANCE * A / S**2 * X


def _bound(**changes):
    return bounds.read(ConfigDict(vae_keys.defaults()["bound"] | changes))


def _terms(theta, phi, noise, gradient="plain"):
    """Terms of the linear model: theta = a, phi = (mean, log-variance) of q, noise f32[B, k]."""
    mean, log_variance = (jnp.full((len(noise), 1), x) for x in phi)
    z, log_q = sampled(mean, log_variance, noise[..., None], gradient)
    log_likelihood = log_normal(jnp.full_like(z, X), theta * z, jnp.float32(2 * np.log(S)))
    log_ratio = log_normal(z, 0.0, jnp.float32(0)) - log_q
    kl = kl_to_standard_normal(mean, log_variance)
    return Terms(log_likelihood, log_ratio, kl, z, mean, log_variance)


def _first(terms, k):
    """The terms of the first k samples."""
    return terms._replace(
        log_likelihood=terms.log_likelihood[:, :k], log_ratio=terms.log_ratio[:, :k]
    )


def _noise(b, k, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(b, k)), jnp.float32)


@pytest.mark.parametrize("name", ["elbo", "iwae"])
def test_with_the_true_posterior_each_sample_gives_the_likelihood(name):
    """All weights are p(x); of the ELBO with a sampled KL, too ("stl")."""
    terms = _terms(A, (MEAN, np.log(VARIANCE)), _noise(4, 3))
    bound = _bound(name=name, k=3, gradient="stl")
    np.testing.assert_allclose(bound(terms, 0, 1), EVIDENCE, rtol=1e-5)
    np.testing.assert_allclose(terms.log_likelihood + terms.log_ratio, EVIDENCE, rtol=1e-5)


def test_more_samples_bound_the_likelihood_closer():
    """With a posterior that is not the true one; 4,096 samples are within 0.001 of it."""
    terms = _terms(A, (0.0, 0.0), _noise(64, 4096))
    means = [float(_bound(name="iwae")(_first(terms, k), 0, 1)) for k in (1, 4, 32, 4096)]
    assert means == sorted(means)
    assert means[-1] == pytest.approx(EVIDENCE, abs=2e-3)
    # The ELBO is less by KL(q || posterior).
    gap = 0.5 * ((1 + MEAN**2) / VARIANCE - 1 + np.log(VARIANCE))
    assert float(_bound()(terms, 0, 1)) == pytest.approx(EVIDENCE - gap, rel=0.01)


def test_the_log_of_a_mean_by_hand():
    """log((e^-1000 + 3 e^-1000) / 2) = log 2 - 1000, where float32 has 0 for each term."""
    found = bounds.importance_weighted(jnp.array([[-1000.0, np.log(3) - 1000]]))
    np.testing.assert_allclose(found, [np.log(2) - 1000])


def _gradients(gradient, noise):
    """[d/da, d/dmean, d/dlog-variance] of the mean IWAE bound of a batch."""
    bound = _bound(name="iwae", k=noise.shape[1], gradient=gradient)

    def reached(theta, *phi):
        return bound(_terms(theta, phi, noise, gradient), 0, 1)

    return jnp.stack(jax.grad(reached, (0, 1, 2))(*map(jnp.float32, (A, 0.3, -1))))


def test_doubly_reparameterised_gradients_are_the_written_out_sum():
    """Of phi, the sum of w~^2 (d log w / dz) (dz / dphi); of theta, the bound's own."""
    noise = _noise(5, 4)
    a, mean, lv = A, 0.3, -1.0
    sd = np.exp(lv / 2)
    z = mean + sd * np.float64(noise)
    log_w = -0.5 * ((X - a * z) / S) ** 2 - 0.5 * z**2 + 0.5 * ((z - mean) / sd) ** 2
    w = np.exp(log_w)
    w /= w.sum(1, keepdims=True)
    slope = a * (X - a * z) / S**2 - z + (z - mean) / sd**2
    of_mean, of_lv = ((w**2 * slope * each).sum(1).mean() for each in (1, sd * noise / 2))
    of_theta = (w * z * (X - a * z) / S**2).sum(1).mean()
    np.testing.assert_allclose(_gradients("dreg", noise), [of_theta, of_mean, of_lv], rtol=2e-5)
    # Written once more for "stl", with the weights themselves, and for the bound as it is.
    of_mean, of_lv = ((w * slope * each).sum(1).mean() for each in (1, sd * noise / 2))
    np.testing.assert_allclose(_gradients("stl", noise), [of_theta, of_mean, of_lv], rtol=2e-5)


def test_doubly_reparameterised_gradients_have_the_same_mean_and_less_variance():
    noise = _noise(40_000, 16)[:, None]
    plain, other = (
        np.float64(jax.jit(jax.vmap(partial(_gradients, g)))(noise)[:, 1:])
        for g in ("plain", "dreg")
    )
    error = np.sqrt((plain.var(0) + other.var(0)) / len(plain))
    assert (np.abs(plain.mean(0) - other.mean(0)) < 4 * error).all()
    assert (other.var(0) < 0.5 * plain.var(0)).all()


def _two_latents(kl):
    """Terms of which only log p(x | z) = -3 and KL divergences f32[B, 2] count."""
    kl = jnp.asarray(kl, jnp.float32)
    return Terms(jnp.full((len(kl), 1), -3.0), None, kl, None, None, None)


def test_the_weight_of_the_kl_rises_to_beta():
    terms = _two_latents([[0.5, 1.5]])
    bound = _bound(beta=4.0, warmup=4)
    assert [float(bound(terms, jnp.int32(t), 1)) for t in (0, 1, 3, 9)] == [-5, -7, -11, -11]
    assert not bound.is_elbo and _bound(k=5).is_elbo


def test_capacity_holds_the_kl_at_what_rises():
    """A mean KL of 2 and a capacity of 1, 2 and 4 nats: beta times their distance."""
    bound = _bound(beta=10.0, warmup=4, capacity=4.0)
    terms = _two_latents([[0.0, 1.0], [1.0, 2.0]])
    assert [float(bound(terms, jnp.int32(t), 1)) for t in (0, 1, 5)] == [-13, -3, -23]


def test_free_bits_are_of_each_latent_in_the_mean_over_the_batch():
    """Means of 0.1 and 2 with 0.5 of each free: 0.5 + 2, and no gradient to the 0.1."""
    kl = jnp.array([[0.2, 1.0], [0.0, 3.0]])
    bound = _bound(free_bits=0.5)
    found, slope = jax.value_and_grad(lambda kl: bound(_two_latents(kl), 0, 1))(kl)
    assert float(found) == -5.5
    np.testing.assert_array_equal(slope, [[0, -0.5], [0, -0.5]])


@pytest.mark.parametrize(
    "options",
    [{"capacity": 4.0}, {"free_bits": 0.6}, {"total_correlation": 5.0}],
    ids=lambda options: next(iter(options)),
)
def test_devices_see_the_whole_batch(options):
    """Two shards of a mapped axis have the mean value and the mean gradient of the whole batch."""
    random = np.random.default_rng(0)
    mean, log_variance, noise = (jnp.float32(random.normal(size=(6, 2))) for _ in range(3))
    bound = _bound(**options)

    def reached(at, noise, axis_name=None):
        mean, log_variance = at
        z, _ = sampled(mean, log_variance, noise[:, None], "plain")
        kl = kl_to_standard_normal(mean, log_variance)
        terms = Terms(-jnp.square(z).sum(-1), None, kl, z, mean, log_variance)
        return bound(terms, 0, 60, axis_name)

    whole = jax.value_and_grad(reached)((mean, log_variance), noise)
    halves = jax.tree.map(lambda x: x.reshape(2, 3, 2), ((mean, log_variance), noise))
    of_shards = jax.vmap(jax.value_and_grad(partial(reached, axis_name="d")), axis_name="d")
    value, slopes = of_shards(*halves)
    np.testing.assert_allclose(value.mean(), whole[0], rtol=1e-5)
    for found, expected in zip(jax.tree.leaves(slopes), jax.tree.leaves(whole[1]), strict=True):
        np.testing.assert_allclose(found.reshape(6, 2) / 2, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "iwea"}, "did you mean 'iwae'"),
        ({"gradient": "dregs"}, "did you mean 'dreg'"),
        ({"name": "iwae", "beta": 4.0}, "bound.beta=4 is of the ELBO"),
        ({"name": "iwae", "free_bits": 0.5}, "bound.free_bits=0.5 is of the ELBO"),
        ({"gradient": "stl", "capacity": 5.0}, "set bound.gradient=plain"),
        ({"total_correlation": 5.0, "k": 2}, "of one sample, not of bound.k=2"),
        ({"estimator": "weightd"}, "did you mean 'weighted'"),
        ({"gradient": "dreg"}, "the ELBO's is stl"),
    ],
)
def test_what_does_not_go_together(changes, message):
    with pytest.raises(UserError, match=message):
        _bound(**changes)
