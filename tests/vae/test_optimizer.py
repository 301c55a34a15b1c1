"""The rate of layers that read whole pictures, and that pictures of any size train with it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from genjax import vae_keys
from genjax.errors import UserError
from genjax.vae import optimizer as optimizers
from genjax.vae.optimizer import adam, iwae
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


def test_the_iwae_code_by_hand():
    """Two updates of one number with gradients of 3 and of -1 as the mean over a batch of 2."""
    optimizer = iwae(2, 0.1, b1=0.99, b2=0.999, epsilon=1e-4)
    state = optimizer.init({"x": jnp.float32(0)})
    m, v = 0.0, 1.0
    for t, g in ((1, 6.0), (2, -2.0)):
        m, v = 0.99 * m + 0.01 * g, 0.999 * v + 0.001 * g**2
        rate = 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.99**t)
        updates, state = optimizer.update({"x": jnp.float32(g / 2)}, state)
        np.testing.assert_allclose(updates["x"], -rate * m / (np.sqrt(v) + 1e-4), rtol=1e-5)


@pytest.mark.parametrize("name", ["adam", "iwae"])
def test_the_rate_drops_after_its_steps(name):
    """b1 = b2 = 0 and a steady gradient: each update has the size of the rate."""
    options = vae_keys.defaults()["optimizer"] | {"name": name, "b1": 0.0, "b2": 0.0}
    options |= {"learning_rate": 1.0, "drops": {"steps": (2, 3), "factors": (0.5, 0.1)}}
    optimizer = optimizers.build(ConfigDict(options), 1)
    state, sizes = optimizer.init(jnp.float32(0)), []
    for _ in range(4):
        update, state = optimizer.update(jnp.float32(7), state)
        sizes.append(-float(update))
    np.testing.assert_allclose(sizes, [1, 1, 0.5, 0.1], rtol=1e-5)


@pytest.mark.parametrize(
    ("steps", "message"), [((5,), "1 steps and 2 factors"), ((5, 5), r"\(5, 5\) have to rise")]
)
def test_drops_that_are_none(steps, message):
    options = vae_keys.defaults()["optimizer"] | {"learning_rate": 1.0}
    with pytest.raises(UserError, match=message):
        optimizers.build(
            ConfigDict(options | {"drops": {"steps": steps, "factors": (0.5, 0.1)}}), 1
        )


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_a_large_picture_trains(likelihood):
    """Bright pictures of 192 px in one batch, again and again: with Adam's plain rate, the KL
    is 544 in the second step, and the bound does not fall."""
    task = _build(f"likelihood={likelihood},binarize=grey,size=192")
    random = np.random.default_rng(0)
    image = jnp.asarray(random.integers(96, 256, (4, 192, 192, 1)), jnp.uint8)
    batch = {"image": image, "label": jnp.zeros(4, jnp.int32), "index": jnp.arange(4)}
    state = jax.jit(task.init)(jax.random.key(0), {})
    step = jax.jit(lambda state: task.step(state, batch, jax.random.key(1), None))
    found = []
    for _ in range(12):
        state, metrics = step(state)
        found.append(metrics)
    assert all(np.isfinite(list(metrics.values())).all() for metrics in found)
    assert max(float(metrics["kl"]) for metrics in found) < 10
    assert found[-1]["negative_elbo"] < found[0]["negative_elbo"]
