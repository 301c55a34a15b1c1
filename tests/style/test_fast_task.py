"""Feed-forward style transfer: its losses by hand, and what a run keeps of its styles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import style_fast as fast_config
from genjax import images, rng, runs
from genjax.cnn import features, vgg
from genjax.errors import UserError
from genjax.nn import backend
from genjax.style import fast_task
from genjax.style import objective as style_objective
from genjax.task import Inputs
from tests.tiny import tiny


def _gram(found):
    flat = np.float64(found).reshape(-1, found.shape[-1])
    return flat.T @ flat / len(flat)


def _squared(a, b):
    return np.mean(np.square(np.float64(a) - np.float64(b)))


# What is published: the layer of contents, the weights of content and style, what Gram matrices
# are divided by, the pool; and the ratios of features and of Gram matrices that were measured.
_RATIOS = {"relu1_2": 202, "relu2_2": 196, "relu3_3": 161, "relu4_3": 49}
_PUBLISHED = {
    "paper": ("relu3_3", 1.0, 1e-4, False, "average", 135, _RATIOS),
    "johnson": ("relu3_3", 1.0, 5.0, True, "max", 135, _RATIOS),
    "pytorch": ("relu2_2", 1e5, 1e10, True, "max", 1, dict.fromkeys(_RATIOS, 1)),
}


@pytest.mark.parametrize("preset", _PUBLISHED)
def test_presets_by_hand(preset):
    """Of two pictures, each with a style of its own."""
    of_content, content_weight, style_weight, by_channels, pool, ratio, ratios = _PUBLISHED[preset]
    config = fast_config.get_config(f"preset={preset}")
    net = features.load("vgg16", (), pool=config.features.pool)
    objective = style_objective.make(config, net, fast_task._of_each_example(config))
    painted, content, style = (
        np.stack([images.resize(images.load(name), 32, 32) for name in pair]) / np.float32(255)
        for pair in (("cat", "coffee"), ("astronaut", "rocket"), ("china", "flower"))
    )

    @jax.jit
    @backend.native()
    def run(weights, painted, content, style):
        target = objective.style_target(weights, [x[None] for x in style])
        found = objective.pieces(
            weights, painted, objective.content_target(weights, content), target
        )
        by_hand = [vgg.apply(weights, x, _RATIOS, pool=pool) for x in (painted, content, style)]
        return found, by_hand

    pieces, (of_painted, of_contents, of_styles) = run(net.weights, painted, content, style)
    for i in range(2):
        expected = (
            content_weight
            * ratio**2
            * _squared(of_painted[of_content][i], of_contents[of_content][i])
        )
        np.testing.assert_allclose(pieces["content"][i], expected, rtol=1e-4)
        errors = 0.0
        for layer, scale in ratios.items():
            divisor = of_painted[layer].shape[-1] if by_channels else 1
            ours, theirs = (_gram(x[layer][i]) / divisor for x in (of_painted, of_styles))
            errors += scale**4 * _squared(ours, theirs)
        np.testing.assert_allclose(pieces["style"][i], style_weight * errors, rtol=1e-4)
        slopes = [
            np.square(np.diff(255 * np.float64(painted[i]), axis=axis)).sum() for axis in (0, 1)
        ]
        variation = 4e-6 * 0.5 * sum(slopes) if preset == "johnson" else 0.0
        np.testing.assert_allclose(pieces["tv"][i], variation, rtol=1e-4)


@pytest.fixture(scope="module")
def begun():
    """(run, its first state, a batch with constants)."""
    run = runs.build(tiny("fast-style"))
    state = runs.first_state(run)
    image = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
    batch = {"image": image, "label": np.zeros(8, np.int32), "index": np.arange(8, dtype=np.int32)}
    return run, state, batch | run.task.constants


def test_a_steps_loss_by_hand(begun):
    """The mean over the batch, each example with the style that its place and the key say."""
    run, state, batch = begun
    key = jax.random.fold_in(rng.stream(7, rng.Stream.STEP), 3)
    with backend.native():
        _, metrics = jax.jit(lambda s, b, k: run.task.step(s, b, k, None))(state, batch, key)
    keys = [jax.random.fold_in(key, i) for i in range(8)]
    number = np.array([int(2 * float(jax.random.uniform(k, ()))) for k in keys])
    assert 0 < number.sum() < 8
    content = batch["image"] / np.float32(255)
    weight = np.stack([1 - number, number], 1).astype(np.float32)
    layers = ("relu1_1", "relu2_1")

    @jax.jit
    @backend.native()
    def seen(state, weights):
        image = run.task.stylization  # one call for each style, as `--mode=stylize` makes them
        each = [
            image.apply(state, {}, w, content, jnp.float32(1)) for w in np.eye(2, dtype=np.float32)
        ]
        painted = jnp.where(weight[:, 1][:, None, None, None] > 0, each[1], each[0])
        apply = lambda x: vgg.apply(weights, x, layers, pool="average")  # noqa: E731
        return apply(painted), apply(content)

    painted, contents = seen(state, batch["features"])
    styles = [
        images.fit(images.load(name), 16)[None] / np.float32(255)
        for name in ("coffee", "astronaut")
    ]
    of_styles = [vgg.apply(batch["features"], x, layers, pool="average") for x in styles]
    content_loss, style_loss = 0.0, 0.0
    for i, s in enumerate(number):
        content_loss += 158**2 * _squared(painted["relu2_1"][i], contents["relu2_1"][i]) / 8
        for layer, scale in (("relu1_1", 70), ("relu2_1", 196)):
            ours, theirs = _gram(painted[layer][i]), _gram(of_styles[s][layer][0])
            style_loss += 1e-4 * scale**4 * _squared(ours, theirs) / 8
    np.testing.assert_allclose(metrics["content"], content_loss, rtol=1e-4)
    np.testing.assert_allclose(metrics["style"], style_loss, rtol=1e-4)
    np.testing.assert_allclose(metrics["loss"], content_loss + style_loss, rtol=1e-4)
    for layer in layers:
        for s in range(2):
            kept = state.style_target[layer][s]
            np.testing.assert_allclose(kept, _gram(of_styles[s][layer][0]), rtol=1e-4, atol=1e-4)


def test_unchanged_photographs_have_the_styles_of_their_index(begun):
    run, state, batch = begun
    with backend.native():
        found = jax.jit(run.task.evaluate)(state, batch, jax.random.key(0))
    np.testing.assert_array_equal(found["unchanged_content"], np.zeros(8))
    assert found["unchanged_style"].shape == (8,) and (found["unchanged_style"] > 0).all()


def test_pictures_show_each_photograph_in_each_style(begun):
    run, state, batch = begun
    shown = jax.jit(run.task.pictures)(state, batch, jax.random.key(0))["styles"]
    assert shown.shape == (3, 3, 16, 16, 3)
    np.testing.assert_array_equal(shown[:, 0], batch["image"][[0, 2, 4]])  # of eight


def test_a_run_goes_on_without_the_pictures():
    config = tiny("fast-style", style="gone.jpg")
    dataset = runs.build(tiny("fast-style")).dataset
    known = {"styles": ["gone.jpg", "too.jpg", "three.jpg"]}
    task = fast_task.build(config, Inputs(dataset, runs.read_picture, known))
    assert task.known == known and task.stylization.styles == 3
    with pytest.raises(UserError, match=r"no image gone\.jpg"):
        fast_task.build(config, Inputs(dataset, runs.read_picture))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"style": ""}, "style is not set: give paths or built-in names"),
        ({"data.channels": 1}, "set data.channels=3"),
        ({"model.kind": "johnsen"}, "did you mean 'johnson'"),
        ({"style_loss.gram": "wh"}, "style_loss.gram='wh' is unknown"),
    ],
)
def test_what_cannot_be_built(changes, message):
    with pytest.raises(UserError, match=message):
        runs.build(tiny("fast-style", **changes))
