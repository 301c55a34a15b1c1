import itertools
from functools import partial

import jax
import jax.numpy as jnp
import pytest
from clu import parameter_overview
from ml_collections import ConfigDict

from genjax.errors import UserError
from genjax.gan import resnet
from genjax.nn import backend

MODEL = {
    "width": 64,
    "norm": "spectral",
    "condition": "none",
    "pool": "sum",
    "head": "none",
}


def counts(networks, model: dict, size: int = 32, classes: int = 10, latent: int = 128):
    """Parameters of (generator, discriminator) of images in colour."""
    label = jnp.zeros(1, jnp.int32)
    found = []
    for network, x in zip(
        networks(ConfigDict(model | {"latent": latent}), (size, size, 3), classes=classes),
        (jnp.zeros((1, latent)), jnp.zeros((1, size, size, 3))),
        strict=True,
    ):
        init = partial(network.init, jax.random.key(0), x, label, train=True)
        with backend.native():  # whose operations are sooner traced
            shapes = jax.eval_shape(init)
        found.append(parameter_overview.count_parameters(shapes["params"]))
    return tuple(found)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (4_276_739, 1_053_825)),  # SNGAN
        ({"norm": "none", "pool": "mean"}, (4_276_739, 1_053_825)),  # WGAN-GP
        ({"condition": "projection"}, (4_304_387, 1_055_105)),  # SNGAN (cBN + PD)
        ({"condition": "projection", "norm": "batch"}, (4_304_387, 1_057_159)),  # ProjGAN
        ({"condition": "auxiliary"}, (4_304_387, 1_053_825 + 128 * 10)),
        ({"head": "rotation"}, (4_276_739, 1_053_825 + 128 * 4 + 4)),  # SSGAN
    ],
)
def test_published_parameter_counts(options, expected):
    assert counts(resnet.networks, MODEL | options) == expected


@pytest.mark.parametrize(
    ("size", "generator", "discriminator"),
    [  # features of the authors' code, in units of 64
        (64, (16, 8, 4, 2, 1), (1, 2, 4, 8, 16)),
        (128, (16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16, 16)),
    ],
)
def test_parameter_counts_of_larger_images(size, generator, discriminator):
    """Written out block by block; a discriminator's block has its input's features inside."""
    g = [64 * n for n in generator]
    expected_g = 128 * 16 * g[0] + 16 * g[0] + 2 * g[-1] + 27 * g[-1] + 3
    for a, b in itertools.pairwise(g):
        expected_g += 2 * a + 9 * a * b + b + 2 * b + 9 * b * b + b + a * b + b
    d = [3] + [64 * n for n in discriminator]
    expected_d = d[-1] + 1
    for i, (a, b) in enumerate(itertools.pairwise(d)):
        hidden = b if i == 0 else a
        expected_d += 9 * a * hidden + hidden + 9 * hidden * b + b
        expected_d += a * b + b if a != b else 0
    assert counts(resnet.networks, MODEL, size) == (expected_g, expected_d)


def test_xavier_initial_values():
    """Uniform, up to sqrt(6 / (fan in + fan out)), times sqrt(2) in the residual branches."""
    generator, _ = resnet.networks(ConfigDict(MODEL | {"width": 16}), (8, 8, 1))
    with backend.native():
        init = partial(generator.init, jax.random.key(0), jnp.zeros((1, 100)), train=True)
        params = jax.jit(init)()
    block = params["params"]["GeneratorBlock_0"]
    for name, fans, gain in (("Conv_0", 9 * 128, 2**0.5), ("shortcut", 128, 1)):
        bound = gain * (6 / fans) ** 0.5
        kernel = jnp.abs(block[name]["kernel"])
        assert 0.99 * bound < kernel.max() <= bound and abs(kernel.mean() / bound - 0.5) < 0.02


def test_the_generator_of_a_config_without_condition_ignores_classes():
    generator, discriminator = resnet.networks(ConfigDict(MODEL), (32, 32, 3), classes=10)
    assert generator.classes == 0 and discriminator.condition == "none"


@pytest.mark.parametrize(
    ("options", "classes", "message"),
    [
        ({"norm": "spektral"}, 10, r"model\.norm='spektral' is unknown; did you mean 'spectral'"),
        ({"pool": "max"}, 10, r"model\.pool='max' is unknown"),
        ({"head": "turn"}, 10, r"model\.head='turn' is unknown"),
        ({"condition": "class"}, 10, r"model\.condition='class' is unknown"),
        ({"condition": "projection"}, 0, r"'projection' needs classes, and the data have none"),
        ({"condition": "auxiliary", "head": "rotation"}, 10, "both add an output"),
    ],
)
def test_what_is_refused(options, classes, message):
    with pytest.raises(UserError, match=message):
        resnet.networks(ConfigDict(MODEL | options), (32, 32, 3), classes=classes)
