"""Both losses of whole pictures against the program written in PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import rng
from genjax.cnn import features
from genjax.nn import backend
from genjax.style import nnst, pyramid

LAYERS = ("relu1_1", "relu1_2", "relu2_1")


@pytest.fixture(scope="module")
def given():
    """(network, a picture, a content, a style), of 16 x 24 px and the style of 20 x 12."""
    net = features.load("vgg16", LAYERS)
    random = np.random.default_rng(0)
    shapes = ((16, 24, 3), (16, 24, 3), (20, 12, 3))
    return net, *(random.uniform(size=shape).astype(np.float32) for shape in shapes)


class _Theirs:
    """The features of one picture f32[H, W, 3], and NNST's losses of them."""

    def __init__(self, torch, weights):
        self.torch, self.functional = torch, torch.nn.functional
        self.weights = [
            (torch.tensor(np.array(w["kernel"])).permute(3, 2, 0, 1), torch.tensor(w["bias"]))
            for w in (weights[name] for name in ("conv1_1", "conv1_2", "conv2_1"))
        ]

    def features(self, x):
        mean, std = (
            self.torch.tensor(values)[None, :, None, None]
            for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        )
        x, found = (x - mean) / std, []
        for i, (kernel, bias) in enumerate(self.weights):
            x = self.functional.max_pool2d(x, 2) if i == 2 else x
            x = self.functional.conv2d(x, kernel, bias, padding=1).relu()
            found.append(x)
        return found

    def columns(self, x):
        size = x.shape[2] // 4, x.shape[3] // 4
        found = [
            self.functional.interpolate(f / f.shape[1], size, mode="bilinear", align_corners=True)
            for f in self.features(x)
        ]
        return self.rows(self.torch.cat(found, 1))

    def rows(self, x):
        return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])

    def turned(self, x):
        return [self.torch.rot90(x, k, (2, 3)) for k in range(4)]

    def cosines(self, x, y):
        x, y = x - x.mean(0), y - y.mean(0)
        return (x / x.norm(dim=1, keepdim=True)) @ (y / y.norm(dim=1, keepdim=True)).T

    def halved_and_back(self, x):
        def resized(x, size):
            return self.functional.interpolate(x, size, mode="bilinear", align_corners=False)

        return resized(resized(x, (x.shape[2] // 2, x.shape[3] // 2)), tuple(x.shape[2:]))


def _as_theirs(torch, given):
    net, *pictures = given
    as_torch = [torch.tensor(x).permute(2, 0, 1)[None] for x in pictures]
    return _Theirs(torch, net.weights), *as_torch


@pytest.mark.parametrize("share", [0.75, 1.0])
def test_hypercolumns_find_what_they_turn_to(share, given):
    torch = pytest.importorskip("torch")
    theirs, picture, content, style = _as_theirs(torch, given)
    query = content
    if share < 1:  # the picture, with the content's finest level
        mixed = content - theirs.halved_and_back(content) + theirs.halved_and_back(picture)
        query = 0.25 * mixed + 0.75 * content
    of_style = torch.cat([theirs.columns(x) for x in theirs.turned(style)])
    which = theirs.cosines(theirs.columns(query), of_style).argmax(1)
    cosine = torch.nn.functional.cosine_similarity(theirs.columns(picture), of_style[which])

    net, picture, content, style = given
    loss = nnst.of_hypercolumns(nnst.described(net, LAYERS), share)

    @jax.jit
    @backend.native()
    def ours(weights, picture, content, style):
        of_style = loss.style(weights, [style])
        levels = pyramid.decompose(picture, 2)
        matched = loss.match(weights, of_style, content, levels)
        return matched, loss.value(weights, of_style, matched, picture, None)

    matched, value = ours(net.weights, picture, content, style)
    np.testing.assert_array_equal(matched, which)
    np.testing.assert_allclose(value, (1 - cosine).mean(), rtol=1e-4)


def test_layers_turn_to_their_nearest_features(given, monkeypatch):
    """With 8 places a side instead of 64, strides are 3 and 1; the style's are 2 and 1."""
    torch = pytest.importorskip("torch")
    theirs, picture, _, style = _as_theirs(torch, given)
    key = rng.stream(3, rng.Stream.STEP)
    starts = np.asarray(rng.uniform(key, jnp.zeros(1, jnp.int32), (3, 2)))[0]
    of_styles = [theirs.features(x) for x in theirs.turned(style)]

    def strided(x, start):
        n = max(1, max(x.shape[2:]) // 8)
        row, column = (int(n * s) for s in start)
        height, width = x.shape[2] // n, x.shape[3] // n
        return theirs.rows(x[:, :, row::n, column::n][:, :, :height, :width])

    expected = 0
    for i, (x, start) in enumerate(zip(theirs.features(picture), starts, strict=True)):
        of_style = torch.cat([strided(found[i], start) for found in of_styles])
        expected += (1 - theirs.cosines(strided(x, start), of_style).amax(1)).mean()

    monkeypatch.setattr(nnst, "_SIDE", 8)
    net, picture, _, style = given
    loss = nnst.of_layers(nnst.described(net, LAYERS))

    @jax.jit
    @backend.native()
    def ours(weights, picture, style, key):
        of_style = loss.style(weights, [style])
        return loss.value(weights, of_style, (), picture, key)

    np.testing.assert_allclose(ours(net.weights, picture, style, key), expected, rtol=1e-4)


def test_places_begin_anywhere_and_are_evenly_spaced(monkeypatch):
    monkeypatch.setattr(nnst, "_SIDE", 2)
    x = jnp.arange(35.0).reshape(5, 7, 1)  # every third row and column
    found = [nnst.strided(x, jnp.array(start))[0, :, 0].tolist() for start in ((0, 0), (0.5, 0.9))]
    assert found == [[0, 3], [7 + 2, 7 + 5]]
    assert nnst.strided(x[:1], jnp.array([0.9, 0.4]))[0, :, 0].tolist() == [1, 4]
