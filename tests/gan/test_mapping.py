"""The mapping network's running mean, and what is done with styles."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from genjax.gan import mapping
from tests.gan.drawn import KEY, drawn


def test_the_mean_style_follows_training_passes():
    """0.005 of a batch's mean comes in; not with `track` false, nor outside of training."""
    network = mapping.Mapping(width=3, layers=2)
    z = jax.random.normal(KEY, (8, 5))
    variables = drawn(network, z, train=True)
    start = jax.jit(lambda: network.init(KEY, z, train=True))()["batch_stats"]["mean"]
    np.testing.assert_array_equal(start, np.zeros(3))
    before = np.asarray(variables["batch_stats"]["mean"])

    @functools.partial(jax.jit, static_argnames=("train", "track"))
    def after(train, track=True):
        w, updated = network.apply(variables, z, train=train, track=track, mutable=["batch_stats"])
        return w, updated["batch_stats"]["mean"]

    w, mean = (np.asarray(x) for x in after(train=True))
    np.testing.assert_allclose(mean, 0.995 * before + 0.005 * w.mean(0), rtol=1e-5)
    for options in ({"train": False}, {"train": True, "track": False}):
        np.testing.assert_array_equal(after(**options)[1], before)


def test_lengths_of_latents_do_not_matter():
    network = mapping.Mapping(width=3, layers=1, tracked=False)
    z = jax.random.normal(KEY, (2, 5))
    variables = drawn(network, z, train=True)
    assert set(variables) == {"params"}
    apply = jax.jit(lambda z: network.apply(variables, z, train=True))
    np.testing.assert_allclose(apply(7 * z), apply(z), rtol=1e-5)


def test_truncation_by_hand():
    ws = jnp.array([[[3.0, 5.0], [3.0, 5.0]]])
    mean = jnp.array([1.0, 1.0])
    np.testing.assert_array_equal(mapping.truncate(ws, mean, 1.0), ws)
    np.testing.assert_array_equal(mapping.truncate(ws, mean, 0.5), [[[2, 3], [2, 3]]])
    np.testing.assert_array_equal(mapping.truncate(ws, mean, 0.0, layers=1), [[[1, 1], [3, 5]]])


def test_mixing_by_hand():
    ws, others = jnp.zeros((1, 4, 2)), jnp.ones((1, 4, 2))
    np.testing.assert_array_equal(mapping.mix(ws, others, 1)[0, :, 0], [0, 1, 1, 1])
    np.testing.assert_array_equal(mapping.mix(ws, others, 4)[0, :, 0], [0, 0, 0, 0])


def test_places_where_styles_change():
    """Uniform in 1, 2 and 3 of 4 layers with the probability 0.75; else 4, nowhere."""
    keys = jax.random.split(KEY, 4000)
    found = jax.jit(jax.vmap(lambda key: mapping.mixing_cutoff(key, 4, 0.75)))(keys)
    counts = np.bincount(found, minlength=5)
    assert counts[0] == 0
    np.testing.assert_allclose(counts[1:], 1000, rtol=0.15)
