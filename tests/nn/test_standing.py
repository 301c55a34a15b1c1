"""Standing statistics of a linear generator are those of all that it draws."""

import flax.linen as nn
import jax
import numpy as np

from genjax.nn import BatchNorm, Dense
from genjax.nn.standing import has_batch_norm, standing
from tests.gan.drawn import drawn


class _Linear(nn.Module):
    """Two layers with statistics of their own, which keep different shares of the old ones."""

    @nn.compact
    def __call__(self, x, train: bool):
        x = BatchNorm(momentum=0.9)(Dense(3)(x), train)
        return BatchNorm(momentum=0.99)(Dense(2)(x), train)


def test_they_are_the_plain_means_of_batches():
    x = np.float32(np.random.default_rng(0).normal(3, 2, (5, 8, 4)))
    network = _Linear()
    variables = drawn(network, x[0], train=True)

    def update(statistics, i):
        given = variables | {"batch_stats": statistics}
        batch = jax.numpy.asarray(x)[i]
        return network.apply(given, batch, train=True, mutable=["batch_stats"])[1]["batch_stats"]

    found = jax.jit(lambda: standing(update, variables["batch_stats"], 5))()
    layers = jax.tree.map(np.asarray, variables["params"])
    y = x @ layers["Dense_0"]["kernel"] + layers["Dense_0"]["bias"]
    first = found["BatchNorm_0"]
    np.testing.assert_allclose(first["mean"], y.mean((0, 1)), rtol=1e-4)
    np.testing.assert_allclose(first["var"], y.var(1).mean(0), rtol=1e-4)
    # Each batch passes the second layer as in training, by its own statistics.
    norm = layers["BatchNorm_0"]
    y = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5)
    y = y * norm["scale"] + norm["bias"]
    y = y @ layers["Dense_1"]["kernel"] + layers["Dense_1"]["bias"]
    np.testing.assert_allclose(found["BatchNorm_1"]["mean"], y.mean((0, 1)), rtol=1e-3)
    np.testing.assert_allclose(found["BatchNorm_1"]["var"], y.var(1).mean(0), rtol=1e-3)


def test_a_mean_without_a_variance_is_no_batch_norm():
    assert has_batch_norm({"batch_stats": {"a": {"mean": np.zeros(2), "var": np.ones(2)}}})
    assert not has_batch_norm({"batch_stats": {"mapping": {"mean": np.zeros(2)}}})
    assert not has_batch_norm({"params": {"var": np.zeros(2)}})
