import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import vae as vae_config
from genjax import data, runs
from genjax.errors import UserError
from genjax.task import Inputs
from genjax.vae import task as vae_task
from tests.tiny import tiny


def _build(arg="", **changes):
    config = vae_config.get_config(arg)
    config.model.latent = 3
    if "hidden" in config.model:
        config.model.hidden = (5,)
    config.train.batch_size = 4
    config.update(changes)
    return vae_task.build(config, Inputs(data.open_dataset(config.data), None))


def _batch(size, n=4):
    image = np.random.default_rng(0).integers(0, 256, (n, size, size, 1)).astype(np.uint8)
    return {"image": jnp.asarray(image), "label": jnp.arange(n) % 10, "index": jnp.arange(n)}


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_negative_elbo_is_its_pieces(likelihood):
    task = _build(f"likelihood={likelihood}")
    state = jax.jit(task.init)(jax.random.key(0), {})
    values = jax.jit(task.evaluate)(state, _batch(28), jax.random.key(1))
    assert {value.shape for value in values.values()} == {(4,)}
    np.testing.assert_allclose(
        values["negative_elbo"], values["reconstruction"] + values["kl"], rtol=1e-6
    )
    assert (values["kl"] >= 0).all()
    if likelihood == "gaussian":
        assert state.likelihood["log_sigma"] == 0


def test_a_step_goes_downhill():
    task = _build("binarize=static")
    state = jax.jit(task.init)(jax.random.key(0), {})
    step = jax.jit(lambda state: task.step(state, _batch(28), jax.random.key(1), None))
    losses, (first, metrics) = [], step(state)
    # Adam's mean of gradients begins with a tenth of the first one.
    norm = 10 * optax.tree.norm(first.optimizer[0].mu)
    np.testing.assert_allclose(metrics["grad_norm"], norm, rtol=1e-5)
    for _ in range(20):
        state, metrics = step(state)
        losses.append(float(metrics["negative_elbo"]))
    assert losses[-1] < losses[0]
    assert state.step == 20


def test_pictures_pair_originals_with_reconstructions():
    task = _build("binarize=grey")
    state = jax.jit(task.init)(jax.random.key(0), {})
    batch = _batch(28, n=16)
    pictures = jax.jit(task.pictures)(state, batch, jax.random.key(1))
    assert pictures["reconstructions"].shape == (4, 8, 28, 28, 1)
    np.testing.assert_array_equal(pictures["reconstructions"][0], batch["image"][:8])
    np.testing.assert_array_equal(pictures["reconstructions"][2], batch["image"][8:])
    assert pictures["interpolations"].shape == (8, 8, 28, 28, 1)
    # A walk begins and ends with reconstructions: of examples 0 and 8, below their originals.
    for example, column in ((0, 0), (8, 7)):
        reconstruction = pictures["reconstructions"][1 + 2 * (example // 8), example % 8]
        difference = np.int32(pictures["interpolations"][0, column]) - np.int32(reconstruction)
        assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("moved", ["data.flip", "data.shift"])
def test_what_is_binarised_once_does_not_move(moved):
    with pytest.raises(UserError, match=r"set data\.flip=false and data\.shift=0") as error:
        runs.build(tiny("vae", **{"binarize": "static", moved: True if "flip" in moved else 1}))
    assert "\n" not in str(error.value)


def test_gaussian_is_of_grey_levels():
    with pytest.raises(UserError, match="binarize=grey"):
        _build("likelihood=gaussian,binarize=static")
