import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.errors import UserError
from genjax.gan import ada, augment, diffaugment
from tests.tiny import tiny

KEY = jax.random.key(0)
IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(4, 8, 8, 1)), jnp.float32)


def _read(name, policy=""):
    return augment.read(tiny("dcgan", **{"augment.name": name, "augment.policy": policy}).augment)


def test_parts_are_applied_in_the_order_of_the_policy():
    found = jax.jit(_read("diffaugment", "cutout,color"))(IMAGES, KEY, 0.0)
    keys = [jax.random.fold_in(KEY, i) for i in range(4)]
    numbers = jnp.stack([jax.random.uniform(key, (7,)) for key in keys])
    expected = diffaugment.color(diffaugment.cutout(IMAGES, numbers), numbers)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("policy", ["color,noise,cutout", "blit"])
def test_random_numbers_do_not_depend_on_how_many_devices_share_a_batch(policy):
    function = _read("ada", policy)
    sharded = jax.vmap(lambda x: function(x, KEY, 0.9, "data"), axis_name="data")
    whole, shards = jax.jit(lambda x: (function(x, KEY, 0.9), sharded(x.reshape(2, 2, 8, 8, 1))))(
        IMAGES
    )
    np.testing.assert_allclose(shards.reshape(IMAGES.shape), whole, atol=1e-6)
    assert np.abs(whole - IMAGES).max() > 0.1


def test_a_factor_is_of_a_groups_probability():
    assert augment._parts("ada", "blit, color:0.5") == {"blit": 1.0, "color": 0.5}
    assert set(augment._parts("ada", augment._DEFAULTS["ada"])) < set(ada.GROUPS)


@pytest.mark.parametrize(
    ("name", "policy", "message"),
    [
        ("none", "color", "augment.policy='color' of nothing"),
        ("diffaug", "", "'diffaug' is unknown; did you mean 'diffaugment'"),
        ("diffaugment", "colour", "'colour' is no part of 'diffaugment'; did you mean 'color'"),
        ("diffaugment", "color:0.5", "DiffAugment always happens"),
        ("ada", "translation", "'translation' is no part of 'ada'"),
        ("ada", "blit:2", "the factor is from 0 to 1"),
        ("ada", "blit:x", "the factor is from 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused(name, policy, message):
    with pytest.raises(UserError, match=message) as error:
        _read(name, policy)
    assert "\n" not in str(error.value)


def test_a_probability_of_what_always_happens_is_refused():
    options = {"augment.name": "diffaugment", "augment.p": 0.5}
    with pytest.raises(UserError, match=r"augment\.p=0\.5 is the probability of ADA's parts"):
        augment.read(tiny("dcgan", **options).augment)
