"""Masks: by hand, and as the parts of pictures that they leave."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import style as style_config
from genjax import images, rng, runs
from genjax.cnn import features, vgg
from genjax.errors import UserError
from genjax.nn import backend
from genjax.style import inputs, losses, masks, wasserstein
from genjax.style import objective as style_objective
from tests.tiny import tiny


def _net():
    """VGG16 of 4 channels a layer, to relu2_1, with random weights."""
    random, channels, weights = np.random.default_rng(0), 3, {}
    for name in ("conv1_1", "conv1_2", "conv2_1"):
        kernel = random.normal(size=(3, 3, channels, 4)) * (2 / (9 * channels)) ** 0.5
        weights[name] = {"kernel": np.float32(kernel), "bias": np.full(4, 0.1, np.float32)}
        channels = 4
    layers = tuple(name.replace("conv", "relu") for name in weights)
    fields = vgg.fields("vgg16")
    return features.FeatureNet("narrow", layers, weights, functools.partial(vgg.apply), fields)


def test_places_by_hand():
    """3 x 5 px: at relu2_1 a place stands over 2 x 2, and at the edges over what is left."""
    shares = np.zeros((1, 3, 5, 2), np.uint8)
    shares[..., 0] = 255
    shares[0, 0, 1:, 1] = 255  # of the last column of places all, of the others less
    found = masks.at_layers(_net(), ("relu1_1", "relu2_1"), shares)
    assert (found["relu1_1"][..., 0] == 1).all() and (found["relu2_1"][..., 0] == 1).all()
    whole = np.array([[0, 1, 1, 1, 1], [0] * 5, [0] * 5])
    np.testing.assert_allclose(found["relu1_1"][0, ..., 1], whole * 15 / 4, rtol=1e-6)
    halves = np.array([[0.25, 0.5, 0.5], [0, 0, 0]])
    np.testing.assert_allclose(found["relu2_1"][0, ..., 1], halves * 6 / 1.25, rtol=1e-6)


def test_a_half_has_the_statistics_of_what_is_cut_out():
    random = np.random.default_rng(0)
    x = np.float32(random.normal(size=(1, 4, 6, 3)))
    half = np.zeros((1, 4, 6, 1), np.float32)
    half[:, :, :3] = 2  # 1 in the mean
    cut = x[:, :, :3].reshape(-1, 3)
    second = cut.T @ cut / 12
    np.testing.assert_allclose(losses.gram(x, weights=half)[0], second, rtol=1e-5)
    found = wasserstein.moments(x, half)
    np.testing.assert_allclose(found.mean[0], cut.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.second[0], second, rtol=1e-5)
    ones = np.ones_like(half)
    np.testing.assert_array_equal(losses.gram(x, weights=ones), losses.gram(x))
    for a, b in zip(wasserstein.moments(x, ones), wasserstein.moments(x), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_gradient_of_weighted_moments_is_that_of_their_definition():
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=(2, 3, 4, 5)), jnp.float32)
    weights = jnp.asarray(random.uniform(size=(2, 3, 4, 1)), jnp.float32)
    upstream = jnp.asarray(random.normal(size=(2, 5, 5)), jnp.float32)

    def definition(x):
        return jnp.einsum("bijk,bijc,bijd->bcd", weights, x, x) / 12

    ours, theirs = (
        jax.jit(jax.grad(lambda x, f=f: jnp.sum(upstream * f(x))))(x)
        for f in (functools.partial(losses.gram, weights=weights), definition)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def _config(kind, **changes):
    preset = "wasserstein" if kind == "wasserstein" else "gatys"
    config = style_config.get_config(f"preset={preset}")
    config.content_loss.update(layers=("relu1_1",), weight=0.0)
    config.style_loss.update(layers=("relu1_1", "relu2_1"), weights=(0.7, 0.3))
    config.update({"features": {"name": "cnn:narrow", "border": "zero"}, "tv_weight": 0.0})
    config.update(changes)
    return config


@pytest.mark.parametrize("kind", ["gram", "wasserstein"])
def test_losses_of_masks(kind):
    """Whole ones change nothing; left and right styles leave each other alone; tiles are exact."""
    net, keys = _net(), jax.random.split(jax.random.key(0), 3)
    picture, *styles = (jax.random.uniform(key, (1, 45, 37, 3)) for key in keys)
    whole = np.full((1, 45, 37, 2), 255, np.uint8)
    sides = whole.copy()
    sides[:, :, 20:, 0] = sides[:, :, :20, 1] = 0
    given = {"masks": {"content": "given"}}

    def losses_of(shares, styles, tile=0, **changes):
        config = _config(kind, **changes)
        objective = style_objective.make(config, net, tile=tile)
        layers = config.style_loss.layers
        place, own = None, None
        if shares is not None:
            place = masks.at_layers(net, layers, shares)
            own = [masks.at_layers(net, layers, whole[..., :1])] * len(styles)

        @jax.jit
        @backend.native()
        def run(weights, picture, styles, place, own):
            style = objective.style_target(weights, styles, own)
            content = objective.content_target(weights, picture)

            def total(x):
                return objective.pieces(weights, x, content, style, place)["style"][0]

            return jax.value_and_grad(total)(picture)

        return run(net.weights, picture, styles, place, own)

    plain = losses_of(None, styles[:1])
    masked = losses_of(whole[..., :1], styles[:1], **given)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-9), masked, plain)
    value, gradient = losses_of(sides, styles, style_weights=(3.0, 1.0), **given)
    each = [losses_of(sides[..., i : i + 1], styles[i : i + 1], **given) for i in range(2)]
    np.testing.assert_allclose(value, 0.75 * each[0][0] + 0.25 * each[1][0], rtol=1e-5)
    reach = net.fields["relu2_1"].reach
    left = np.abs(each[0][1]).sum(axis=(0, 1, 3))
    assert (left[:20] > 0).all() and (left[20 + reach :] == 0).all()
    right = np.abs(each[1][1]).sum(axis=(0, 1, 3))
    assert (right[20:] > 0).all() and (right[: 20 - reach] == 0).all()
    tiled = losses_of(sides, styles, tile=8, style_weights=(3.0, 1.0), **given)
    np.testing.assert_allclose(tiled[0], value, rtol=1e-5)
    atol = 1e-5 * float(jnp.abs(gradient).max())
    np.testing.assert_allclose(tiled[1], gradient, rtol=1e-5, atol=atol)


def _mask(height, width, *where):
    picture = np.zeros((height, width, 3), np.uint8)
    picture[where] = 255
    return picture


LEFT, RIGHT = _mask(32, 32, slice(None), slice(16)), _mask(32, 32, slice(None), slice(16, None))
COLOURS = np.zeros((8, 8, 3), np.uint8)
COLOURS[:4], COLOURS[4:] = (255, 0, 0), (0, 0, 255)  # blue is darker than red
NAMED = {
    "left": LEFT,
    "right": RIGHT,
    "black": _mask(8, 8, slice(0)),
    "wide": _mask(8, 16, 0),
    "colours": COLOURS,
    "photograph": images.load("cat")[:200, :200],
}


def _read(name):
    return [NAMED[name]] if name in NAMED else [images.load(name)]


def _loaded(**changes):
    config = style_config.get_config("size=16")
    config.update({"content": "astronaut", "style": "coffee,cat"} | changes)
    return masks.load(config, _read, inputs.load(config, _read))


def test_masks_are_as_large_as_their_pictures():
    found = _loaded(masks={"content": "left,right", "style": ""})
    assert found.contents.shape == (1, 16, 16, 2) and found.contents.dtype == np.uint8
    assert (found.contents[0, :, :8] == [255, 0]).all()
    assert (found.contents[0, :, 8:] == [0, 255]).all()
    assert [x.shape for x in found.styles] == [(1, 11, 16, 1), (1, 11, 16, 1)]
    assert all((x == 255).all() for x in found.styles)
    assert _loaded() is None


def test_a_map_has_the_darkest_colour_first():
    found = _loaded(masks={"labels": "colours"}).contents[0]
    assert (found[:8] == [0, 255]).all() and (found[8:] == [255, 0]).all()


def test_several_contents_have_one_mask_or_their_own():
    two = {"content": "astronaut,coffee", "content_fit": "crop"}
    one = _loaded(masks={"content": "left,right"}, **two).contents
    np.testing.assert_array_equal(one[0], one[1])
    own = _loaded(masks={"content": "left,right,right,left"}, **two).contents
    np.testing.assert_array_equal(own[0], one[0])
    np.testing.assert_array_equal(own[1], one[0][..., ::-1])


def test_a_mask_of_the_style_alone():
    found = _loaded(style="astronaut", masks={"style": "left"})
    assert (found.contents == 255).all() and (found.styles[0][0, :, 8:] == 0).all()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"masks": {"content": "left"}}, "masks.content has 1 masks for 2 styles: give 2"),
        ({"masks": {"style": "left"}}, "masks.style has 1 masks for 2 styles"),
        ({"masks": {"content": "left,black"}}, "the mask of style 2 is black"),
        ({"masks": {"content": "left,wide"}}, "16 x 8 px does not fit a picture of 16 x 16 px"),
        ({"masks": {"content": "left,right", "labels": "colours"}}, "leave one out"),
        ({"masks": {"labels": "colours,colours"}}, "masks.labels has 2 maps: give 1"),
        ({"masks": {"labels": "photograph"}}, "colours, and there are 2 styles"),
        ({"masks": {"content": "left,right"}, "pairs": "each"}, "masks share a picture out"),
    ],
)
def test_masks_that_cannot_be(changes, message):
    with pytest.raises(UserError, match=message):
        _loaded(**changes)


def test_nearest_has_no_masks():
    config = _config("gram", masks={"content": "given"})
    config.style_loss.kind = "nearest"
    with pytest.raises(UserError, match="from wherever it is nearest: leave masks"):
        style_objective.make(config, _net())


def test_a_run_keeps_its_masks_for_each_content(tmp_path):
    images.write(tmp_path / "left.png", LEFT)
    images.write(tmp_path / "right.png", RIGHT)
    named = f"{tmp_path}/left.png,{tmp_path}/right.png"
    changes = {"content": "coffee,astronaut", "style": "astronaut,cat", "content_fit": "crop"}
    config = tiny("style-adam", **changes, **{"masks.content": named, "init": "content"})
    task = runs.build(config).task
    state = jax.jit(task.init)(rng.stream(0, rng.Stream.INIT), task.constants)
    height, width = state.at.image.shape[1:3]
    assert state.masks["relu1_1"].shape == (2, height, width, 2)
    assert state.masks["relu2_1"].shape == (2, -(-height // 2), -(-width // 2), 2)
    found = jax.jit(task.evaluate)(state, task.constants, None)
    for name in ("content", "style", "total"):
        np.testing.assert_allclose(found[name], found[f"unchanged_{name}"], rtol=1e-4)
