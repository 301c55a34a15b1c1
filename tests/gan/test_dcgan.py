from functools import partial

import jax
import jax.numpy as jnp
import pytest
from clu import parameter_overview
from ml_collections import ConfigDict

from genjax.errors import UserError
from genjax.gan import dcgan


def _shapes(module, *arguments):
    return jax.eval_shape(lambda: module.init(jax.random.key(0), *arguments, train=True))


def test_parameter_counts_of_the_specification():
    generator, discriminator = dcgan.networks(ConfigDict({"width": 64}), (64, 64, 3))
    g = _shapes(generator, jnp.zeros((1, 100)))
    d = _shapes(discriminator, jnp.zeros((1, 64, 64, 3)))
    assert parameter_overview.count_parameters(g["params"]) == 3_576_704
    assert parameter_overview.count_parameters(d["params"]) == 2_765_568


@pytest.mark.parametrize("size", [8, 16, 32])
def test_one_level_less_for_half_the_size(size):
    generator, discriminator = dcgan.networks(ConfigDict({"width": 2}), (size, size, 1))

    def begin(key):
        fake, variables = generator.init_with_output(key, jnp.ones((2, 10)), train=True)
        return fake, variables, discriminator.init_with_output(key, fake, train=True)[0]

    fake, variables, logits = jax.eval_shape(begin, jax.random.key(0))
    assert fake.shape == (2, size, size, 1)
    convolutions = [name for name in variables["params"] if "Conv" in name]
    assert len(convolutions) == {8: 3 - 1, 16: 3, 32: 4}[size]
    assert logits.shape == (2,)


def test_initial_values():
    generator, _ = dcgan.networks(ConfigDict({"width": 64}), (16, 16, 3))
    init = jax.jit(partial(generator.init, train=True))
    params = init(jax.random.key(0), jnp.zeros((1, 100)))["params"]
    assert abs(params["ConvTranspose_0"]["kernel"].std() - 0.02) < 1e-3
    scale = params["BatchNorm_0"]["scale"]
    assert abs(scale.mean() - 1) < 0.01
    assert abs(scale.std() - 0.02) < 0.005


def test_pictures_are_in_range():
    generator, _ = dcgan.networks(ConfigDict({"width": 2}), (8, 8, 1))

    @jax.jit
    def draw(key):
        z = jnp.ones((2, 10))
        variables = jax.tree.map(lambda x: 100 * x, generator.init(key, z, train=False))
        return generator.apply(variables, z, train=False)

    assert 0.9 < jnp.abs(draw(jax.random.key(0))).max() <= 1


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 64, 3), (4, 4, 1)])
def test_refuses_other_sizes(shape):
    with pytest.raises(UserError, match=r"set data\.size"):
        dcgan.networks(ConfigDict({"width": 2}), shape)
