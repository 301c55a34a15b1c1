"""Options of VAEs: a config of before there were any is that of a run without them."""

import json

import pytest

from genjax import vae_keys
from tests.tiny import tiny


def test_a_config_of_an_older_run_gets_what_it_did():
    now = json.loads(tiny("vae").to_json())
    then = {key: value for key, value in now.items() if key != "bound"}
    then["optimizer"] = {"learning_rate": now["optimizer"]["learning_rate"]}
    then["model"] = {key: now["model"][key] for key in ("name", "hidden", "latent")}
    then["score"] = {key: value for key, value in now["score"].items() if key != "k"}
    assert then != now
    assert json.loads(json.dumps(vae_keys.completed(then))) == now
    assert "score" not in vae_keys.completed({k: x for k, x in then.items() if k != "score"})


@pytest.mark.parametrize("name", ["vqvae", "vqgan"])
def test_books_of_older_runs_left_dead_codes(name):
    now = json.loads(tiny(name, **{"quantizer.revive": 0.0}).to_json())
    book = {key: value for key, value in now["quantizer"].items() if key != "revive"}
    assert vae_keys.completed(now | {"quantizer": book}) == now
    grid = json.loads(tiny("fsq").to_json())
    assert vae_keys.completed(grid) == grid


def test_values_that_are_there_stay():
    now = json.loads(tiny("iwae").to_json())
    assert vae_keys.completed(now) == now
