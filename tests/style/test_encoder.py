"""Encoders of VGG's layers, and decoders that mirror them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from clu import parameter_overview
from ml_collections import ConfigDict

from genjax.cnn import vgg
from genjax.errors import UserError
from genjax.nn import backend
from genjax.style import encoder


def _config(**features):
    defaults = {"name": "vgg16", "layer": "relu2_1", "input": "torchvision"}
    return ConfigDict({"precision": "float32", "features": defaults | features})


def _count(net: str, layer: str) -> int:
    decoder = encoder.Decoder(encoder.mirror(net, layer))
    channels = vgg.channels(net)[layer.replace("relu", "conv")][1]
    shape = jnp.zeros((1, 4, 4, channels))
    return parameter_overview.count_parameters(
        jax.eval_shape(lambda: decoder.init(jax.random.key(0), shape)["params"])
    )


def test_mirrors_by_hand():
    """The published one, of VGG19: 512 to 256, up, three of 256, 128, up, 128, 64, up, 64, 3."""
    assert encoder.mirror("vgg19", "relu4_1") == (
        *((256, True), (256, False), (256, False), (256, False)),
        *((128, True), (128, False), (64, True), (64, False), (3, False)),
    )
    assert encoder.mirror("vgg16", "relu2_1") == ((64, True), (64, False), (3, False))


@pytest.mark.parametrize(
    ("net", "layer", "count"),
    [("vgg19", "relu4_1", 3_505_219), ("vgg16", "relu2_1", 73_792 + 36_928 + 1_731)],
)
def test_parameters_of_decoders(net, layer, count):
    assert _count(net, layer) == count


def test_an_encoder_has_the_layers_that_it_needs():
    """Of VGG19 those up to relu4_1 are 3,505,728 numbers; the 12 more of the published file make
    its input of RGB, which is `features.input` here."""
    found = encoder.load(_config())
    assert list(found.weights) == ["conv1_1", "conv1_2", "conv2_1"]
    assert found.taps == ("relu1_1", "relu2_1") and found.channels == 128
    names = vgg.layer_names("vgg19")
    counts = [
        9 * taken * given + given
        for name, (taken, given) in vgg.channels("vgg19").items()
        if names.index(name) <= names.index("conv4_1")
    ]
    assert sum(counts) == 3_505_728


def test_pictures_of_any_size_come_back():
    """Sides are rounded up where they are halved."""
    found = encoder.load(_config(layer="relu3_1"))
    decoder = encoder.Decoder(found.mirror)
    x = jnp.zeros((1, 13, 18, 3))
    code = jax.eval_shape(lambda x: found.apply(found.weights, x, (found.code,))[found.code], x)
    assert code.shape == (1, 4, 5, 256)
    variables = jax.eval_shape(decoder.init, jax.random.key(0), code)
    assert jax.eval_shape(decoder.apply, variables, code).shape == (1, 16, 20, 3)


def test_a_decoder_against_pytorch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    layers = ((4, True), (3, False))
    decoder, random = encoder.Decoder(layers), np.random.default_rng(0)
    x = random.normal(size=(2, 3, 5, 6)).astype(np.float32)
    with backend.native():
        variables = decoder.init(jax.random.key(0), jnp.asarray(x))
        ours = decoder.apply(variables, jnp.asarray(x))
    theirs = torch.from_numpy(x).permute(0, 3, 1, 2)
    for i in range(len(layers)):
        layer = variables["params"][f"Conv_{i}"]
        kernel = torch.tensor(np.array(layer["kernel"])).permute(3, 2, 0, 1)
        padded = functional.pad(theirs, (1, 1, 1, 1), mode="reflect")
        theirs = functional.conv2d(padded, kernel, torch.tensor(np.array(layer["bias"])))
        if i == 0:
            theirs = functional.interpolate(theirs.relu(), scale_factor=2, mode="nearest")
    np.testing.assert_allclose(ours, theirs.permute(0, 2, 3, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"name": "cnn:runs/cnn"}, "features.name='cnn:runs/cnn' has no mirror image"),
        ({"layer": "relu4_2"}, "features.layer='relu4_2' is unknown; did you mean 'relu4_1'"),
    ],
)
def test_what_has_no_mirror_is_refused(features, message):
    with pytest.raises(UserError, match=message):
        encoder.load(_config(**features))
