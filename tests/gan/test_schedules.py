import jax.numpy as jnp
import numpy as np
import pytest

from genjax.errors import UserError
from genjax.gan import schedules
from tests.tiny import tiny


def test_half_a_cosine_and_then_the_final_value():
    """R3GAN's: a quarter of the way takes (1 - cos 45°) / 2 of the change."""
    n = jnp.array([0.0, 5e6, 10e6, 20e6, 30e6])
    share = np.array([0, (1 - np.sqrt(0.5)) / 2, 0.5, 1, 1])
    found = schedules.half_cosine(n, 2e-4, 5e-5, 20e6)
    np.testing.assert_allclose(found, 2e-4 - 1.5e-4 * share, rtol=1e-5)
    found = schedules.linear(n, 0.0, 5e6, 20e6)
    np.testing.assert_allclose(found, [0, 1.25e6, 2.5e6, 5e6, 5e6], rtol=1e-6)


def test_values_begin_with_those_of_the_config():
    final = "optimizer.b2=0.99, ema.half_life=100"
    options = {"schedule.name": "linear", "schedule.images": 80, "schedule.final": final}
    config = tiny("dcgan", **options, **{"ema.half_life": 50.0})
    found = schedules.read(config)
    assert found.keys() == {"optimizer.b2", "ema.half_life"}
    np.testing.assert_allclose([found["ema.half_life"](n) for n in (0, 40, 80)], [50, 75, 100])
    assert schedules.read(tiny("dcgan")) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "cosin"}, "'cosin' is unknown; did you mean 'cosine'"),
        ({"name": "cosine"}, "changes nothing: set schedule.final"),
        ({"final": "augment.p=1"}, "needs schedule.name=cosine or linear"),
        ({"name": "cosine", "final": "ema.halflife=1"}, "cannot change 'ema.halflife'; did you"),
        ({"name": "cosine", "final": "augment.p=x"}, "augment.p='x' is not a number"),
        ({"name": "cosine", "final": "augment.p=1.5"}, "augment.p=1.5 is not possible"),
        ({"name": "cosine", "final": "ema.half_life=inf"}, "ema.half_life=inf is not possible"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    values = {f"schedule.{key}": value for key, value in options.items()}
    with pytest.raises(UserError, match=message) as error:
        schedules.read(tiny("dcgan", **values))
    assert "\n" not in str(error.value)


def test_two_ways_to_change_the_rate_are_refused():
    options = {"schedule.name": "cosine", "schedule.final": "optimizer.learning_rate=1e-5"}
    with pytest.raises(UserError, match=r"set --config\.optimizer\.linear_decay=0"):
        schedules.read(tiny("sngan", **options))
