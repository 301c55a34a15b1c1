"""The task of very deep VAEs: the rule of skipped updates, and what a fresh network says."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax import config as config_lib
from genjax import runs
from genjax.vae.vdvae_task import VdvaeState, updated
from tests.tiny import ROOT, tiny


def _update(gradient, loss=1.0, step=1):
    """Of one parameter each, after an update with the tiny run's options: a rate of 2e-4 that
    rises in 2 steps, no decay of weights, clipped to 200 and left out from 400 on."""
    config = tiny("vdvae", **{"optimizer.weight_decay": 0.0})
    variables = jnp.float32([2.0]), jnp.float32([0.0])
    optimizer = optax.trace(0.0)  # the clipped gradient itself
    state = VdvaeState(jnp.int32(step), *variables, variables, optimizer.init(variables))
    grads = jnp.float32([gradient]), jnp.float32([0.0])
    after, _, skipped = updated(config, optimizer, state, jnp.float32(loss), grads)
    return float(after.encoder[0]), float(after.average[0][0]), float(skipped), int(after.step)


def test_updates_are_clipped_and_averaged_by_hand():
    for gradient, step, moved in ((100, 1, 0.01), (-300, 2, -0.04), (100, 0, 0.0)):
        encoder, average, skipped, count = _update(gradient, step=step)
        assert encoder == pytest.approx(2 - moved, abs=1e-6)
        assert average == pytest.approx(2 - 0.01 * moved, abs=1e-6)
        assert (skipped, count) == (0, step + 1)


@pytest.mark.parametrize(
    ("gradient", "loss"), [(400, 1.0), (1e6, 1.0), (math.nan, 1.0), (1, math.nan), (1, math.inf)]
)
def test_an_update_is_left_out(gradient, loss):
    with jax.debug_nans(False):
        assert _update(gradient, loss) == (2.0, 2.0, 1.0, 2)


def test_a_fresh_network_is_as_good_as_a_fresh_mixture():
    """All but the last convolutions' small numbers are zero: the likelihood is near that of
    logistics of mean 0 and scale 1, of which the 254 inner levels have 2/255 of a density of at
    most 1/4, and black 1 - sigmoid(1); the priors are N(0, 1)."""
    run = runs.build(tiny("vdvae"))
    state = jax.jit(run.task.init)(jax.random.key(0), {})
    image = np.stack([run.dataset.test[i]["image"] for i in range(8)])
    batch = {"image": jnp.asarray(image), "index": jnp.arange(8)}
    found = jax.jit(run.task.evaluate)(state, batch, jax.random.key(1))
    x = (image - 127.5) / 127.5
    sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    upper = np.where(image == 255, 1, sigmoid(x + 1 / 255))
    lower = np.where(image == 0, 0, sigmoid(x - 1 / 255))
    expected = -np.log2(upper - lower).mean()
    bits = np.asarray(found["bits_per_dim"])
    assert abs(bits.mean() - expected) < 0.5
    total = np.asarray(found["distortion"] + found["rate"]) / math.log(2)
    np.testing.assert_allclose(bits, total, rtol=1e-5)
    weights = jax.jit(run.task.log_weights)(state, batch, jax.random.key(1), jnp.arange(3))
    assert weights.shape == (8, 3)
    # The mean weight of a sample is the bound.
    np.testing.assert_allclose(weights.mean(1), -bits * math.log(2) * 64, rtol=0.1)


@pytest.mark.slow
def test_a_step_with_the_published_network_keeps_the_state():
    """By shapes alone."""
    config = config_lib.read(f"{ROOT}/configs/vdvae.py:preset=paper,batch=2")
    config.data.channels = 3
    run = runs.build(config)
    shapes = jax.eval_shape(run.task.init, jax.random.key(0), {})
    batch = {
        "image": jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.uint8),
        "index": jax.ShapeDtypeStruct((2,), jnp.int32),
    }
    after, metrics = jax.eval_shape(
        lambda *x: run.task.step(*x, None), shapes, batch, jax.random.key(0)
    )
    assert jax.tree.structure(after) == jax.tree.structure(shapes)
    assert metrics["bits_per_dim"].shape == ()
