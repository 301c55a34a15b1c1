"""Eight devices equal one, and `pmap` equals `jit`: the same numbers to float reassociation."""

import json

import numpy as np
import pytest
from etils import epath

from genjax.evaluate import evaluate
from genjax.metrics.rulers import Meter
from tests.eight_devices import ERRORS, MODES, PICTURES, THREE_CONTENTS, balls, overrides
from tests.launch import on_eight_devices
from tests.rounding import assert_close, assert_within, lines_excess, state_excess
from tests.scores.stub import ruler
from tests.tiny import ROOT, STATES, kinds_first, metrics_of, tiny

# One variant of each kind of state, in the modes that compute it differently; one in all. That of
# `dcgan-memory` has all that dcgan's has.
DEFAULT = ("vae-jit", "vae-pmap", "vae-fsdp", "dcgan-memory-pmap", "style-adam-jit")
# Tasks have all modes, and of their further networks each has one: the arithmetic is what differs.
ONE_MODE = {
    "sngan": "fsdp",  # vectors of spectral norms
    "wgan-gp": "jit",
    "dcgan-memory": "pmap",
    "biggan": "fsdp",
    "stylegan2": "pmap",
    "r3gan": "fsdp",
    "vae-conv": "pmap",
    "vae-gaussian": "jit",
    "vamp": "jit",
    "iwae-iaf": "fsdp",
    "factor-vae": "fsdp",
    "vqgan": "pmap",
    "vdvae": "pmap",
    "cnn-airbench": "pmap",
    "fast-style": "fsdp",
    "fast-video": "pmap",
    "video": "pmap",
    "adain": "pmap",
}
RUNS = kinds_first(
    [f"{name}-{mode}" for name in STATES for mode in MODES if ONE_MODE.get(name, mode) == mode],
    DEFAULT,
)


@pytest.fixture(scope="module")
def eight(request, shared):
    """`eight(run)`: the folder in which `eight_devices.py` made a run; it makes all at once."""
    selected = {
        item.callspec.params["run"]
        for item in request.session.items
        if item.path == request.path and "run" in item.callspec.params
    }

    def make(folder):
        on_eight_devices(ROOT / "tests" / "eight_devices.py", folder, *sorted(selected))

    folder = epath.Path(shared("eight", make))
    assert (folder / "devices").read_text() == "8"

    def made(run: str) -> epath.Path:
        failed = folder / f"{run}.failed"
        assert not failed.exists(), failed.read_text()
        return folder / run

    return made


@pytest.mark.parametrize("run", RUNS)
def test_eight_devices_equal_one(run, eight, finished, bound):
    name = run.rpartition("-")[0]
    same = overrides(name)
    assert_close(bound(name, **same), eight(run), finished(name, **same))


@pytest.mark.parametrize("run", ["changed"])
def test_begun_in_one_mode_and_ended_in_another(run, eight, finished, bound):
    """It has other lines of metrics: each piece ends with one."""
    assert_within(state_excess(bound("vae"), eight(run), finished("vae")))


@pytest.mark.parametrize("run", ERRORS)
def test_an_error_is_far_beyond_rounding(run, eight, finished, bound):
    """What these comparisons are for would be seen, whatever a machine's rounding is."""
    theirs = metrics_of(finished("vae"))[0]
    ours = theirs | json.loads(eight(run).read_text())
    first = bound("vae")._replace(lines=bound("vae").lines[:1])
    beyond = lines_excess(first, [ours], [theirs])
    # Adam makes the same updates of a sum as of a mean, so that evaluations may agree.
    assert min(ratio for name, ratio in beyond.items() if name.startswith("train/")) > 100


@pytest.mark.parametrize("run", ["sizes"])
def test_fsdp_divides_the_state(run, eight):
    sizes = json.loads(eight(run).read_text())
    assert sizes["fsdp"] < sizes["jit"] / 2 and sizes["pmap"] == sizes["jit"]


@pytest.mark.parametrize("run", ["whole"])
def test_a_state_of_pmap_is_made_whole_in_one_launch(run, eight):
    """A launch for each array, with a sum over devices, stops XLA's CPU runtime for ever."""
    assert json.loads(eight(run).read_text()) == {"same": True, "sent": 0}


@pytest.mark.slow
@pytest.mark.parametrize("run", ["three"])
def test_three_pictures_on_eight_devices(run, eight, finished, bound):
    reference = finished("style-adam", **THREE_CONTENTS)
    assert_close(bound("style-adam", **THREE_CONTENTS), eight(run), reference)


@pytest.mark.parametrize("run", ["vae-jit"])
def test_what_eight_devices_trained_one_can_evaluate(run, eight, bound):
    workdir = eight(run)
    evaluate(tiny("vae"), workdir)
    scores = [json.loads(line) for line in (workdir / "scores.jsonl").read_text().splitlines()]
    expected, limits = metrics_of(workdir)[-1], bound("vae").lines[-1]
    assert {score["metric"] for score in scores} == {x for x in expected if x.startswith("eval/")}
    for score in scores:
        name = score["metric"]
        assert abs(score["value"] - expected[name]) <= limits[name], name


@pytest.mark.parametrize("run", ["features"])
def test_features_for_scores_are_the_same_on_eight_devices(run, eight):
    found = json.loads(eight(run).read_text())
    np.testing.assert_allclose(found, Meter(ruler())(PICTURES)["features"], atol=1e-6)


@pytest.mark.parametrize("run", ["neighbouring"])
def test_neighbours_are_the_same_to_the_bit_on_eight_devices(run, eight):
    assert json.loads(eight(run).read_text()) == balls()


@pytest.mark.parametrize("run", ["refused"])
def test_a_batch_that_does_not_divide_is_refused(run, eight):
    told = eight(run).read_text().splitlines()
    assert len(told) == len(MODES)
    for line in told:
        assert "12 images a step do not divide over 8 devices" in line
        assert "train.batch_size" in line
