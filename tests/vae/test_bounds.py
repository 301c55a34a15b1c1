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
from genjax.vae import bounds
from genjax.vae.bounds import Terms, log_normal, sampled
from genjax.vae.losses import kl_to_standard_normal

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
    return Terms(log_likelihood, log_ratio, kl_to_standard_normal(mean, log_variance))


def _noise(b, k, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(b, k)), jnp.float32)


@pytest.mark.parametrize("name", ["elbo", "iwae"])
def test_with_the_true_posterior_each_sample_gives_the_likelihood(name):
    """All weights are p(x); of the ELBO with a sampled KL, too ("stl")."""
    terms = _terms(A, (MEAN, np.log(VARIANCE)), _noise(4, 3))
    found = _bound(name=name, k=3, gradient="stl")(terms, 0)
    np.testing.assert_allclose(found, np.full(4, EVIDENCE), rtol=1e-5)


def test_more_samples_bound_the_likelihood_closer():
    """With a posterior that is not the true one; 4,096 samples are within 0.001 of it."""
    terms = _terms(A, (0.0, 0.0), _noise(64, 4096))
    means = [
        float(_bound(name="iwae")(Terms(*(x[:, :k] for x in terms[:2]), terms.kl), 0).mean())
        for k in (1, 4, 32, 4096)
    ]
    assert means == sorted(means)
    assert means[-1] == pytest.approx(EVIDENCE, abs=2e-3)
    # The ELBO is less by KL(q || posterior).
    gap = 0.5 * ((1 + MEAN**2) / VARIANCE - 1 + np.log(VARIANCE))
    assert float(_bound()(terms, 0).mean()) == pytest.approx(EVIDENCE - gap, rel=0.01)


def test_the_log_of_a_mean_by_hand():
    """log((e^-1000 + 3 e^-1000) / 2) = log 2 - 1000, where float32 has 0 for each term."""
    found = bounds.importance_weighted(jnp.array([[-1000.0, np.log(3) - 1000]]))
    np.testing.assert_allclose(found, [np.log(2) - 1000])


def _gradients(gradient, noise):
    """[d/da, d/dmean, d/dlog-variance] of the mean IWAE bound of a batch."""
    bound = _bound(name="iwae", k=noise.shape[1], gradient=gradient)

    def reached(theta, *phi):
        return bound(_terms(theta, phi, noise, gradient), 0).mean()

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


def test_the_weight_of_the_kl_rises_to_beta():
    terms = Terms(jnp.array([[-3.0]]), jnp.array([[-2.0]]), jnp.array([2.0]))
    bound = _bound(beta=4.0, warmup=4)
    assert [float(bound(terms, jnp.int32(t))[0]) for t in (0, 1, 3, 9)] == [-5, -7, -11, -11]
    assert not bound.is_elbo and _bound(k=5).is_elbo


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "iwea"}, "did you mean 'iwae'"),
        ({"gradient": "dregs"}, "did you mean 'dreg'"),
        ({"name": "iwae", "beta": 4.0}, "bound.beta=4 is of the ELBO"),
        ({"gradient": "dreg"}, "the ELBO's is stl"),
    ],
)
def test_what_does_not_go_together(changes, message):
    with pytest.raises(UserError, match=message):
        _bound(**changes)
