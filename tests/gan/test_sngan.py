import jax
import jax.numpy as jnp
import pytest
from clu import parameter_overview
from ml_collections import ConfigDict

from genjax.errors import UserError
from genjax.gan import sngan
from genjax.nn.spectral_norm import COLLECTION

LAYOUTS = {"sngan": sngan.networks, "chainer_gan_lib": sngan.chainer_gan_lib_networks}


def _networks(width, size, channels=1, norm="spectral", layout="sngan"):
    model = ConfigDict({"width": width, "norm": norm})
    return LAYOUTS[layout](model, (size, size, channels))


def _shapes(module, *arguments):
    return jax.eval_shape(lambda: module.init(jax.random.key(0), *arguments, train=True))


@pytest.mark.parametrize(
    ("layout", "halved", "count"),
    [("sngan", (64, 128, 256), 2_935_873), ("chainer_gan_lib", (128, 256, 512), 5_860_865)],
)
def test_parameter_counts_of_the_paper_and_of_its_code(layout, halved, count):
    """At 32 px and width 64, layer by layer; each BatchNorm has two numbers a feature.

    Args:
      halved: the features of the 4 x 4 layers.
      count: the discriminator's parameters.
    """
    generator, discriminator = _networks(64, 32, 3, layout=layout)
    g = _shapes(generator, jnp.zeros((1, 128)))
    d = _shapes(discriminator, jnp.zeros((1, 32, 32, 3)))
    dense = 128 * 4 * 4 * 512 + 2 * 512
    doublings = 16 * (512 * 256 + 256 * 128 + 128 * 64) + 2 * (256 + 128 + 64)
    pixels = 9 * 64 * 3 + 3
    assert parameter_overview.count_parameters(g["params"]) == dense + doublings + pixels
    first = 9 * 3 * 64 + 64
    features = (64, 128, 256)
    pairs = sum(
        16 * c * h + h + 9 * h * 2 * c + 2 * c for c, h in zip(features, halved, strict=True)
    )
    last = 4 * 4 * 512 + 1
    found = parameter_overview.count_parameters(d["params"])
    assert found == first + pairs + last == count


@pytest.mark.parametrize("size", [8, 16])
def test_one_level_less_for_half_the_size(size):
    generator, discriminator = _networks(2, size)
    g = _shapes(generator, jnp.zeros((2, 10)))
    levels = {8: 1, 16: 2}[size]
    assert sum("ConvTranspose" in name for name in g["params"]) == levels
    fake = jax.eval_shape(lambda g: generator.apply(g, jnp.zeros((2, 10)), train=False), g)
    assert fake.shape == (2, size, size, 1)
    d = _shapes(discriminator, jnp.zeros(fake.shape))
    assert len(d["params"]) == len(d[COLLECTION]) == 1 + 2 * levels + 1
    assert set(_shapes(_networks(2, size, norm="none")[1], jnp.zeros(fake.shape))) == {"params"}


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 64, 3), (4, 4, 1)])
def test_refuses_other_sizes(shape):
    with pytest.raises(UserError, match=r"set data\.size"):
        sngan.networks(ConfigDict({"width": 2, "norm": "none"}), shape)


def test_refuses_other_norms():
    with pytest.raises(UserError, match=r"model\.norm='batch' is unknown"):
        _networks(2, 8, norm="batch")
