import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import cnn as cnn_config
from genjax import data
from genjax.cnn import task as cnn_task
from genjax.errors import UserError
from genjax.task import Inputs


def _build(classes=10, blocks=2):
    config = cnn_config.get_config()
    config.model = {"width": 2, "blocks": blocks}
    dataset = data.open_dataset(config.data)._replace(classes=classes)
    return cnn_task.build(config, Inputs(dataset, None))


def test_goes_downhill_and_shows_the_hardest_first():
    task = _build()
    random = np.random.default_rng(0)
    batch = {
        "image": jnp.asarray(random.integers(0, 256, (8, 28, 28, 1)), jnp.uint8),
        "label": jnp.arange(8),
    }
    state = jax.jit(task.init)(jax.random.key(0), {})
    untrained = jax.jit(task.evaluate)(state, batch, jax.random.key(0))
    np.testing.assert_allclose(untrained["loss"].mean(), np.log(10), rtol=0.2)
    step = jax.jit(lambda state: task.step(state, batch, jax.random.key(0), None))
    losses, (first, metrics) = [], step(state)
    # Adam's mean of gradients begins with a tenth of the first one.
    norm = 10 * optax.tree.norm(first.optimizer[0].mu)
    np.testing.assert_allclose(metrics["grad_norm"], norm, rtol=1e-5)
    for _ in range(30):
        state, metrics = step(state)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < losses[0] - 0.1
    values = jax.jit(task.evaluate)(state, batch, jax.random.key(0))
    pictures = jax.jit(task.pictures)(state, batch, jax.random.key(0))
    hardest = batch["image"][values["loss"].argmax()]
    np.testing.assert_array_equal(pictures["hardest"][0, 0], hardest)


def test_blocks_have_to_leave_a_pixel():
    with pytest.raises(UserError, match="use 5 at most"):
        _build(blocks=6)


def test_needs_labels():
    with pytest.raises(UserError, match="has no labels"):
        _build(classes=0)


def test_one_class_is_refused():
    """It would end at loss 0 and accuracy 1.0, having learned nothing."""
    with pytest.raises(UserError, match=r"has one class only .*: a classifier needs two or more"):
        _build(classes=1)
