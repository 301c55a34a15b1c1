"""Importance-weighted likelihoods: a model whose likelihood is known, and parts of any size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import rng, runs
from genjax.errors import UserError
from genjax.evaluate import Evaluator
from genjax.scores import likelihoods
from tests.tiny import tiny

_KEY = jax.random.key(0)


class _Normal:
    """p(z) = N(0, 1), p(x | z) = N(z, 1), q(z | x) = N(x / 2, 1): p(x) = N(0, 2)."""

    @staticmethod
    def log_weights(state, batch, key, samples):
        x = batch["image"][:, 0, 0, 0][:, None]
        keys = rng.example_keys(key, batch["index"])
        noise = jax.vmap(lambda k: rng.normal(k, samples, ()))(keys)
        z = x / 2 + noise
        return -0.5 * ((x - z) ** 2 + z**2 + np.log(2 * np.pi)) + 0.5 * noise**2


def _found(k):
    batch = {"image": jnp.array([0.0, 1.0, 3.0])[:, None, None, None], "index": jnp.arange(3)}
    function = likelihoods.of_batch(_Normal, k, (1, 1, 1))
    return jax.jit(function)((), batch, _KEY)


def test_it_is_the_likelihood():
    x = np.array([0.0, 1.0, 3.0])
    expected = -0.25 * x**2 - 0.5 * np.log(4 * np.pi)
    np.testing.assert_allclose(_found(20_000), expected, atol=0.02)


def test_parts_of_any_size_give_the_same(monkeypatch):
    whole = _found(50)
    for together in (1, 7, 25):
        monkeypatch.setattr(likelihoods, "_VALUES", 3 * together)
        np.testing.assert_allclose(_found(50), whole, rtol=1e-5)


def test_more_samples_are_no_worse_than_the_bound_of_one(finished):
    """Of a trained VAE: -log p(x) is less than its negative ELBO, and the same whenever asked."""
    trained = runs.open_trained(tiny("vae"), finished("vae"))
    evaluator = Evaluator(trained.run)
    found = likelihoods.nll(trained, evaluator.batches())
    assert found == likelihoods.nll(trained, evaluator.batches())
    elbo = evaluator(trained.state)["eval/negative_elbo"]
    assert elbo - 20 < found.value < elbo and found.error > 0


def test_runs_without_a_likelihood(finished):
    trained = runs.open_trained(tiny("dcgan"), finished("dcgan"))
    with pytest.raises(UserError, match="task='gan' has no likelihood: leave nll"):
        likelihoods.nll(trained, [])
