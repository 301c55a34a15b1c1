"""Tiles: arithmetic by hand, and means, features and gradients that are the whole picture's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import style as style_config
from genjax.cnn import features, vgg
from genjax.nn import backend
from genjax.style import objective as style_objective
from genjax.style import tiles


def test_fields_by_hand():
    """To relu4_3 a feature of VGG16 sees 2 convolutions of 1 px, 2 of 2, 3 of 4 and 3 of 8."""
    assert vgg.fields("vgg16")["relu4_3"] == vgg.Field(8, 2 * 1 + 2 * 2 + 3 * 4 + 3 * 8, 512)
    assert vgg.fields("vgg19")["relu5_1"] == vgg.Field(16, 70, 512)  # 16 + 2 * 70 = 156 px
    assert vgg.fields("vgg16")["relu1_1"] == vgg.Field(1, 1, 64)
    names = (name.replace("conv", "relu") for name in vgg.layer_names("vgg16"))
    assert vgg.fields("vgg16").keys() == set(names)
    assert tiles.halo([vgg.fields("vgg16")["relu4_3"]]) == 48
    assert tiles.halo([vgg.fields("vgg19")["relu5_1"]]) == 80


def test_a_feature_sees_as_far_as_its_field_says():
    net = features.load("vgg16", ("relu3_1",))
    field = net.fields["relu3_1"]
    x = jax.random.uniform(jax.random.key(0), (1, 64, 64, 3))

    def middle(x):
        return net.apply(net.weights, x, ("relu3_1",))["relu3_1"][0, 8, 8].sum()

    with backend.native():
        seen = np.flatnonzero(np.abs(jax.jit(jax.grad(middle))(x)[0]).sum(axis=(1, 2)))
    begin = 8 * field.stride
    assert (seen[0], seen[-1]) == (begin - field.reach, begin + field.stride - 1 + field.reach)


def test_cuts_by_hand():
    """A grain of 4 px and a halo of 12: relu3_1 sees 2 * 1 + 2 * 2 + 4 = 10 px."""
    fields = [vgg.fields("vgg16")["relu3_1"]]
    assert tiles.grain(fields) == 4 and tiles.halo(fields) == 12
    assert tiles.cut(80, 16, fields) == tiles.Cut(
        40, (0, 4, 20, 36, 40), ((0, 16), (16, 32), (32, 48), (48, 64), (64, 80))
    )
    # The last window begins at a multiple of 4 and ends with the picture, so all are 2 px longer.
    assert tiles.cut(62, 24, fields) == tiles.Cut(50, (0, 12, 12), ((0, 24), (24, 48), (48, 62)))
    assert tiles.cut(40, 16, fields) == tiles.Cut(40, (0,), ((0, 40),))
    assert tiles.cut(24, 1000, fields) == tiles.Cut(24, (0,), ((0, 24),))


@pytest.mark.parametrize("length", [37, 64, 81, 203])
def test_every_feature_is_of_one_tile_whose_window_has_all_that_it_sees(length):
    field = vgg.fields("vgg16")["relu3_1"]
    found = tiles.cut(length, 16, [field])
    counted = np.zeros(-(-length // 4), int)
    for window, (begin, end) in zip(found.windows, found.cores, strict=True):
        assert window % 4 == 0 and 0 <= window <= length - found.side
        assert window == 0 or begin - window >= field.reach
        assert window + found.side == length or window + found.side - end >= field.reach
        counted[begin // 4 : -(-end // 4)] += 1
    assert (counted == 1).all()


def narrow(border):
    """VGG16 of 4 channels a layer, to relu3_1, with random weights."""
    random, channels, weights = np.random.default_rng(0), 3, {}
    for name in ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"):
        kernel = random.normal(size=(3, 3, channels, 4)) * (2 / (9 * channels)) ** 0.5
        weights[name] = {"kernel": np.float32(kernel), "bias": np.full(4, 0.1, np.float32)}
        channels = 4
    layers = tuple(name.replace("conv", "relu") for name in weights)
    apply = functools.partial(vgg.apply, border=border)
    return features.FeatureNet("narrow", layers, weights, apply, vgg.fields("vgg16"))


# Sides that are odd, and no multiples of the tile; several windows each way.
@pytest.mark.parametrize("preset, border", [("gatys", "zero"), ("wasserstein", "replicate")])
def test_tiles_are_the_whole(preset, border):
    """Targets, losses and gradient are, at borders as well, where a layer sees padding."""
    config = style_config.get_config(f"preset={preset}")
    config.content_loss.layers = ("relu2_2",)
    config.style_loss.update(layers=("relu1_1", "relu3_1"), weights=(0.7, 0.3))
    config.update({"features": {"name": "cnn:narrow"}, "tv_weight": 0.1})
    net, keys = narrow(border), jax.random.split(jax.random.key(0), 3)
    picture, content, style = (
        jax.random.uniform(key, shape)
        for key, shape in zip(keys, [(1, 75, 61, 3), (1, 75, 61, 3), (1, 57, 86, 3)], strict=True)
    )

    def computed(tile):
        objective = style_objective.make(config, net, tile=tile)

        @jax.jit
        def run(weights, picture, content, style):
            target = objective.content_target(weights, content)
            of_style = objective.style_target(weights, [style])

            def total(x):
                pieces = objective.pieces(weights, x, target, of_style)
                return pieces["total"][0], pieces

            return target, of_style, jax.value_and_grad(total, has_aux=True)(picture)

        with backend.native():
            return run(net.weights, picture, content, style)

    whole, tiled = computed(0), computed(16)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(tiled), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5 * float(jnp.abs(a).max()))
