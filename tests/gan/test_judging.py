"""One pass of real and generated images answers as one pass of each."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import rng
from genjax.gan import judging, r3gan, regularizers, resnet, stylegan2
from genjax.nn import apply, backend, spectral_norm
from tests.tiny import tiny

LABEL = jnp.zeros(4, jnp.int32)


def _images(seed):
    return rng.uniform(jax.random.key(seed), 4, (8, 8, 1)) * 2 - 1


def _gan(name, networks, regularizer=None, **overrides):
    """(What `judging` reads of a `Gan`, the discriminator's variables), eager and native."""
    config = tiny(name, **overrides)
    _, network = networks(config.model, (8, 8, 1), classes=0)
    key = jax.random.key(0)
    with backend.native():
        variables = jax.jit(lambda x: network.init(key, x, LABEL, train=True))(_images(0))
    gan = SimpleNamespace(config=config, D=network, augment=None, regularizer=regularizer)
    return gan, variables


@pytest.mark.parametrize(
    ("name", "networks", "overrides"),
    [
        ("cgan", resnet.networks, {"model.condition": "none"}),
        ("stylegan2", stylegan2.networks, {"model.group": 2}),
    ],
)
def test_one_pass_answers_as_two(name, networks, overrides):
    """With spectral norms, whose step is one; and where a batch is compared in groups."""
    gan, variables = _gan(name, networks, **overrides)
    real, fake = _images(1), _images(2)

    @jax.jit
    def both_ways(variables):
        ours = judging.judge(gan, variables, real, fake, LABEL, with_slopes=False)
        mutable = ("batch_stats", spectral_norm.COLLECTION)
        on_real, after = apply(gan.D, variables, real, LABEL, mutable=mutable)
        on_fake, _ = apply(gan.D, after, fake, LABEL)
        return ours, (on_real, on_fake, None, after)

    with backend.native():
        ours, theirs = both_ways(variables)
    assert judging.takes_both(gan, variables)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, theirs)


def test_slopes_are_those_of_the_penalty():
    gan, variables = _gan("r3gan", r3gan.networks, regularizers.r1_r2)
    real, fake = _images(1), _images(2)

    @jax.jit
    def both_ways(variables):
        def critic(x):
            return gan.D.apply(variables, x, LABEL, train=True)

        on_real, _, squares, _ = judging.judge(gan, variables, real, fake, LABEL, with_slopes=True)
        theirs = critic(real), regularizers.r1_r2(critic, real, fake, None)
        return (on_real, 0.5 * squares.sum(0)), theirs

    with backend.native():
        ours, theirs = both_ways(variables)
    assert judging.shares_slopes(gan, variables)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), ours, theirs)


def test_who_needs_passes_of_its_own():
    gan = SimpleNamespace(
        config=tiny("r3gan"),
        D=r3gan.Discriminator((4,), (2,), 1),
        augment=None,
        regularizer=regularizers.r1_r2,
    )
    assert judging.shares_slopes(gan, {"params": {}})
    assert not judging.takes_both(gan, {"params": {}, "batch_stats": {}})
    for changed in ({"augment": abs}, {"regularizer": regularizers.r1}, {"D": object()}):
        other = SimpleNamespace(**vars(gan) | changed)
        assert not judging.shares_slopes(other, {"params": {}})
