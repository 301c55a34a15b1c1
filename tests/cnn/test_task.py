import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import cnn as cnn_config
from genjax import data, images
from genjax.cnn import task as cnn_task
from genjax.cnn import views
from genjax.cnn.airbench import Airbench
from genjax.errors import UserError
from genjax.nn import backend
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


def test_groups_have_to_leave_a_pixel():
    """28 px are 27 patches, and halved 13, 6, 3 and 1."""
    with pytest.raises(UserError, match=r"28 px to nothing: use 4 at most, or .*data\.size=33"):
        _airbench(widths=(2,) * 5)
    assert _airbench(widths=(2,) * 4, size=17).init


def _airbench(size=0, **model):
    config = cnn_config.get_config(f"arch=airbench,size={size}")
    config.model.update(model)
    return cnn_task.build(config, Inputs(data.open_dataset(config.data), None))


def test_label_smoothing_by_hand():
    """Two classes: of the target 0.1 is the wrong one's, where 0.2 is shared by both."""
    logits, labels = jnp.array([[jnp.log(3.0), 0.0]]), jnp.array([0])
    found = cnn_task.scores(logits, labels, smoothing=0.2)
    np.testing.assert_allclose(found["loss"], -0.9 * np.log(0.75) - 0.1 * np.log(0.25), rtol=1e-6)
    assert found["accuracy"] == 1
    plain = cnn_task.scores(logits, jnp.array([1]))
    np.testing.assert_allclose(plain["loss"], -np.log(0.25), rtol=1e-6)
    assert plain["accuracy"] == 0


def test_airbench_begins_white_and_is_judged_by_its_views():
    task = _airbench(size=8, widths=(2, 2))
    assert task.constants["whitening"]["kernel"].shape == (2, 2, 1, 8)
    state = jax.jit(task.init)(jax.random.key(0), task.constants)
    found = getattr(state, cnn_task.JUDGED)["whitening"]
    np.testing.assert_array_equal(found["kernel"], task.constants["whitening"]["kernel"])
    random = np.random.default_rng(0)
    image = jnp.asarray(random.integers(0, 256, (4, 8, 8, 1)), jnp.uint8)
    batch = {"image": image, "label": jnp.arange(4)}
    values = jax.jit(task.evaluate)(state, batch, jax.random.key(0))
    net = Airbench(10, (2, 2))
    with backend.native():
        logits = jax.jit(
            lambda x: views.mean_logits(
                False, 1, "reflect", lambda x: net.apply(state.network, x, train=False), x
            )
        )(images.to_float(image, low=-1))
    expected = cnn_task.scores(logits, batch["label"])
    np.testing.assert_allclose(values["loss"], expected["loss"], rtol=1e-5)


def test_without_its_data_a_run_still_has_its_shapes():
    """As where another run asks for it by its workdir alone."""
    config = cnn_config.get_config("arch=airbench")
    dataset = data.open_dataset(config.data)._replace(train=None, test=None)
    task = cnn_task.build(config, Inputs(dataset, None))
    state = jax.eval_shape(task.init, jax.random.key(0), task.constants)
    assert state.network["whitening"]["kernel"].shape == (2, 2, 1, 8)


def test_needs_labels():
    with pytest.raises(UserError, match="has no labels"):
        _build(classes=0)


def test_one_class_is_refused():
    """It would end at loss 0 and accuracy 1.0, having learned nothing."""
    with pytest.raises(UserError, match=r"has one class only .*: a classifier needs two or more"):
        _build(classes=1)
