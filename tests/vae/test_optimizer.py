"""The rate of layers that read whole pictures, and that pictures of any size train with it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.vae.optimizer import adam
from tests.vae.test_task import _build


def _moves(shapes, rate=1e-3):
    """How far each parameter moves in the first step, which is the sign of its gradient."""
    params = [jnp.zeros(shape) for shape in shapes]
    optimizer = adam(rate)
    updates, _ = optimizer.update([jnp.ones(s) for s in shapes], optimizer.init(params), params)
    return [float(-x.ravel()[0]) for x in updates]


def test_a_dense_layer_moves_its_outputs_alike_whatever_it_reads():
    """784 inputs and fewer: the rate. 7,840: a tenth. 110,592, of 192 px in colour: 784 / n."""
    kernels = [(40, 400), (784, 400), (7840, 400), (192 * 192 * 3, 4)]
    expected = [1e-3, 1e-3, 1e-4, 1e-3 * 784 / 110592]
    np.testing.assert_allclose(_moves(kernels), expected, rtol=1e-5)


def test_everything_else_keeps_the_rate():
    """A bias, a likelihood's number, a convolution's kernel, a layer with many outputs."""
    np.testing.assert_allclose(_moves([(10_000,), (), (4, 4, 1024, 2), (3, 10_000)]), 1e-3, 1e-5)


def test_digits_train_to_the_bits_of_plain_adam():
    random = np.random.default_rng(0)
    params = {"kernel": jnp.float32(random.normal(size=(784, 4))), "bias": jnp.zeros(4)}
    states = [(x, x.init(params), params) for x in (adam(1e-3), optax.adam(1e-3))]
    for _ in range(3):
        grads = jax.tree.map(lambda x: jnp.float32(random.normal(size=x.shape)), params)
        for i, (optimizer, state, at) in enumerate(states):
            updates, state = optimizer.update(grads, state, at)
            states[i] = optimizer, state, optax.apply_updates(at, updates)
    for ours, plain in zip(*(jax.tree.leaves(state[1:]) for state in states), strict=True):
        np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_a_large_picture_trains(likelihood):
    """Bright pictures of 192 px in one batch, again and again: with Adam's plain rate, the KL
    is 544 in the second step, and the bound does not fall."""
    task = _build(f"likelihood={likelihood},binarize=grey,size=192")
    random = np.random.default_rng(0)
    image = jnp.asarray(random.integers(96, 256, (4, 192, 192, 1)), jnp.uint8)
    batch = {"image": image, "index": jnp.arange(4)}
    state = jax.jit(task.init)(jax.random.key(0), {})
    step = jax.jit(lambda state: task.step(state, batch, jax.random.key(1), None))
    found = []
    for _ in range(12):
        state, metrics = step(state)
        found.append(metrics)
    assert all(np.isfinite(list(metrics.values())).all() for metrics in found)
    assert max(float(metrics["kl"]) for metrics in found) < 10
    assert found[-1]["negative_elbo"] < found[0]["negative_elbo"]
