"""Options of GANs: a config of before there were any is that of a run without them."""

import json

from genjax import gan_keys
from tests.tiny import tiny

_LATER = (("optimizer", "name"), ("optimizer", "discriminator_factor"), ("regularizer", "interval"))


def test_a_config_of_an_older_run_gets_what_it_did():
    now = json.loads(tiny("dcgan").to_json())
    then = {key: value for key, value in now.items() if key not in gan_keys.defaults()}
    for group, key in _LATER:
        then[group] = {name: x for name, x in then[group].items() if name != key}
    assert then != now and gan_keys.completed(then) == now


def test_values_that_are_there_stay():
    now = json.loads(tiny("wgan", **{"clip": 0.1, "augment.p": 0.5}).to_json())
    assert gan_keys.completed(now) == now
    partly = now | {"augment": {"p": 0.5}}
    assert gan_keys.completed(partly) == now
