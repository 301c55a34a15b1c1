"""Each preset is pinned by the values of its losses on two photographs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import style as style_config
from genjax import images
from genjax.cnn import features, vgg
from genjax.errors import UserError
from genjax.nn import backend
from genjax.style import objective as style_objective


@pytest.fixture(scope="module")
def net():
    return features.load("vgg16", ())


def _photograph(name):
    return jnp.asarray(images.fit(images.load(name), 32), jnp.float32)[None] / 255


def _pieces(config, net, styles=("coffee",), picture="cat"):
    objective = style_objective.make(config, net)

    @jax.jit
    @backend.native()  # this is about the losses, and compiles in a tenth of the time
    def run(weights, contents, styles, picture):
        content = objective.content_target(weights, contents)
        style = objective.style_target(weights, styles)
        return objective.pieces(weights, picture, content, style)

    contents = _photograph("astronaut")
    picture = jnp.asarray(images.resize(images.load(picture), 32, 32), jnp.float32)[None] / 255
    return run(net.weights, contents, [_photograph(s) for s in styles], picture)


def _by_hand(net, gram_divides_by_channels):
    """The losses with numpy, of features as large as those of the authors' network: the mean
    squared Gram error of each style layer, the content error."""
    layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1", "relu4_2")
    cat = jnp.asarray(images.resize(images.load("cat"), 32, 32), jnp.float32)[None] / 255
    run = jax.jit(backend.native()(lambda w, x: vgg.apply(w, x, layers)))
    # Measured on both networks: Gram matrices' ratios, then relu4_2's root mean square's.
    scales = dict(zip(layers, (70, 196, 164, 114, 28, 69), strict=True))
    found = [
        {k: scales[k] * np.float64(v[0]) for k, v in run(net.weights, x).items()}
        for x in (cat, _photograph("coffee"), _photograph("astronaut"))
    ]

    def gram(f):
        flat = f.reshape(-1, f.shape[-1])
        divisor = len(flat) * (flat.shape[1] if gram_divides_by_channels else 1)
        return flat.T @ flat / divisor

    style = [np.mean((gram(found[0][k]) - gram(found[1][k])) ** 2) for k in layers[:5]]
    return style, np.mean((found[0]["relu4_2"] - found[2]["relu4_2"]) ** 2)


def test_gatys(net):
    pieces = _pieces(style_config.get_config("preset=gatys"), net)
    style, content = _by_hand(net, False)
    weighted = sum(s * 1e3 / n**2 for s, n in zip(style, (64, 128, 256, 512, 512), strict=True))
    np.testing.assert_allclose(pieces["style"], [weighted], rtol=1e-3)
    np.testing.assert_allclose(pieces["content"], [content], rtol=1e-3)
    np.testing.assert_array_equal(pieces["tv"], [0.0])
    np.testing.assert_allclose(pieces["total"], [weighted + content], rtol=1e-3)


def test_neural_style(net):
    pieces = _pieces(style_config.get_config("preset=neural-style"), net)
    style, content = _by_hand(net, True)
    np.testing.assert_allclose(pieces["style"], [100 * sum(style)], rtol=1e-3)
    np.testing.assert_allclose(pieces["content"], [5 * content], rtol=1e-3)
    cat = np.float64(images.resize(images.load("cat"), 32, 32))  # from 0 to 255, as there
    squares = np.square(np.diff(cat, axis=0)).sum() + np.square(np.diff(cat, axis=1)).sum()
    np.testing.assert_allclose(pieces["tv"], [1e-3 * 0.5 * squares], rtol=1e-4)


def _root(a):
    """Twelve steps of Newton and Schulz, in float64."""
    size = np.linalg.norm(a)
    y, z = a / size, np.eye(len(a))
    for _ in range(12):
        t = 0.5 * (3 * np.eye(len(a)) - z @ y)
        y, z = y @ t, t @ z
    return y * np.sqrt(size)


def test_wasserstein():
    config = style_config.get_config("preset=wasserstein")
    net = features.load("vgg16", (), border="replicate")
    pieces = _pieces(config, net)
    layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1", "relu4_2")
    run = jax.jit(backend.native()(lambda w, x: vgg.apply(w, x, layers, border="replicate")))
    cat = jnp.asarray(images.resize(images.load("cat"), 32, 32), jnp.float32)[None] / 255
    picture, style, content = (
        {k: np.float64(v[0]) for k, v in run(net.weights, x).items()}
        for x in (cat, _photograph("coffee"), _photograph("astronaut"))
    )

    def moments(f):
        flat = f.reshape(-1, f.shape[-1])
        return flat.mean(axis=0), np.cov(flat.T, bias=True) + 1e-4 * np.eye(flat.shape[1])

    expected = 0
    for layer, weight in zip(layers, (256, 64, 16, 4, 1), strict=False):
        (mean, cov), (mean_s, cov_s) = moments(picture[layer]), moments(style[layer])
        half = _root(cov_s)
        spread = np.diag(cov + cov_s - 2 * _root(half @ cov @ half))
        expected += weight / 341 * (np.mean((mean - mean_s) ** 2) + np.mean(spread))
    np.testing.assert_allclose(pieces["style"], [expected], rtol=1e-4)
    error = 0.015 * np.mean((picture["relu4_2"] - content["relu4_2"]) ** 2)
    np.testing.assert_allclose(pieces["content"], [error], rtol=1e-4)
    config.features.input = "caffe"
    with pytest.raises(UserError, match="'wasserstein' are for features of torchvision's lineage"):
        style_objective.make(config, net)


def test_the_nearest_feature_of_any_style(net):
    config = style_config.get_config("preset=wasserstein")
    config.content_loss.layers = ("relu1_1",)
    config.style_loss.update(kind="nearest", layers=("relu2_1",), weights=(2.0,))
    found = _pieces(config, net, ["coffee", "china"])["style"]
    run = jax.jit(backend.native()(lambda w, x: vgg.apply(w, x, ("relu2_1",))["relu2_1"]))
    cat = jnp.asarray(images.resize(images.load("cat"), 32, 32), jnp.float32)[None] / 255
    x, *styles = (
        np.float64(run(net.weights, picture)).reshape(-1, 128)
        for picture in (cat, _photograph("coffee"), _photograph("china"))
    )
    style = np.concatenate(styles)

    def units(f):
        return f / np.linalg.norm(f, axis=1, keepdims=True)

    nearest = np.argmax(units(x - x.mean(axis=0)) @ units(style - style.mean(axis=0)).T, axis=1)
    expected = 2 * np.mean(1 - (units(x) * units(style[nearest])).sum(axis=1))
    np.testing.assert_allclose(found, [expected], rtol=1e-4)
    config.style_weights = (1.0, 1.0)
    with pytest.raises(UserError, match="whichever style is nearest: leave style_weights"):
        _pieces(config, net, ["coffee", "china"])


def test_features_of_the_authors_own_network_are_not_scaled(net):
    config = style_config.get_config()
    config.content_loss.layers = ("relu1_1",)
    config.style_loss.layers, config.style_loss.weights = ("relu2_1",), (1.0,)
    scaled = _pieces(config, net)
    config.features.input = "caffe"  # of which the objective knows no more than this word
    alone = _pieces(config, net)
    np.testing.assert_allclose(scaled["content"], 68.0**2 * alone["content"], rtol=1e-5)
    np.testing.assert_allclose(scaled["style"], 196.0**4 * alone["style"], rtol=1e-5)


def test_every_layer_of_vgg_has_a_scale():
    config = style_config.get_config()
    for names in map(vgg.layer_names, vgg.DEPTHS):
        layers = [name.replace("conv", "relu") for name in names]
        assert {*layers} <= {*config.content_loss.scale} & {*config.style_loss.scale}


def test_a_layer_without_a_scale(net):
    config = style_config.get_config()
    config.content_loss.layers = ("relu9_1",)
    with pytest.raises(UserError, match=r"content_loss\.scale of layer='relu9_1' is unknown"):
        style_objective.make(config, net)


def test_a_trunk_has_its_own_scale_wherever_it_is_named(net):
    layers = {"content_loss.layers": ("relu1_1",), "style_loss.layers": ("relu2_1",)}
    found = []
    for arg, name in (("features=cnn:x", "cnn:x"), ("", "cnn:x"), ("features=cnn:x", "vgg16")):
        config = style_config.get_config(arg)
        config.update_from_flattened_dict(
            {**layers, "style_loss.weights": (1.0,), "features.name": name}
        )
        found.append(_pieces(config, net))
    in_arg, as_override, back = found
    assert in_arg["content"] == as_override["content"] and in_arg["style"] == as_override["style"]
    # 255 * 0.226 for every layer; VGG has 68 for relu1_1 and, in the Gram matrix, 196 for relu2_1.
    np.testing.assert_allclose(back["content"] / in_arg["content"], (68 / 57.63) ** 2, rtol=1e-4)
    np.testing.assert_allclose(back["style"] / in_arg["style"], (196 / 57.63) ** 4, rtol=1e-4)


def test_layers_and_weights_have_to_match(net):
    config = style_config.get_config()
    config.style_loss.weights = (1.0,)
    with pytest.raises(UserError, match=r"5 layers but style_loss\.weights 1 numbers"):
        style_objective.make(config, net)
    config.content_loss.layers = ()
    with pytest.raises(UserError, match="one layer each at least"):
        style_objective.make(config, net)


def test_the_content_itself_has_no_content_loss(net):
    pieces = _pieces(style_config.get_config(), net, picture="astronaut")
    # Two programs may round differently; beside a real content loss that is nothing.
    assert pieces["content"] < 1e-6 * _pieces(style_config.get_config(), net)["content"]


def test_several_styles_are_a_weighted_mean(net):
    config = style_config.get_config()
    config.style_loss.layers, config.style_loss.weights = ("relu1_1", "relu2_1"), (1.0, 2.0)
    config.content_loss.layers = ("relu2_1",)
    coffee, china = (_pieces(config, net, [name])["style"] for name in ("coffee", "china"))
    equal = _pieces(config, net, ["coffee", "china"])["style"]
    np.testing.assert_allclose(equal, 0.5 * coffee + 0.5 * china, rtol=1e-4)
    config.style_weights = (3.0, 1.0)
    unequal = _pieces(config, net, ["coffee", "china"])["style"]
    np.testing.assert_allclose(unequal, 0.75 * coffee + 0.25 * china, rtol=1e-4)


def test_a_layer_without_places_is_neither_content_nor_style():
    net = features.FeatureNet("classifier", ("gelu1_1", "pool", "logits"), {}, None)
    for loss in ("content_loss", "style_loss"):
        config = style_config.get_config()
        config[loss].layers = ("pool",) * len(config[loss].layers)
        with pytest.raises(
            UserError, match=r"layer 'pool' .* be neither content nor style: use gelu1_1"
        ):
            style_objective.make(config, net)
