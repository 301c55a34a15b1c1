"""Eight devices equal one, and `pmap` equals `jit`: the same numbers to float reassociation."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from etils import epath

from genjax.evaluate import evaluate
from genjax.train import train
from tests.close import assert_close
from tests.eight_devices import CHANGES, MODES, THREE_CONTENTS, overrides
from tests.tiny import ROOT, VARIANTS, metrics_of, tiny

# Compiled for eight devices in three modes, each takes most of a minute.
HEAVY = ("vae-conv", "vae-gaussian", "sngan", "wgan-gp", "r1", "cnn", "style-lbfgs")
NAMES = [n if n not in HEAVY else pytest.param(n, marks=pytest.mark.slow) for n in VARIANTS]


@pytest.fixture(scope="module")
def eight(request, tmp_path_factory):
    """The folder of what `eight_devices.py` made of the runs that are to be tested."""
    folder = epath.Path(tmp_path_factory.mktemp("eight"))
    selected = {
        item.callspec.params["name"]
        for item in request.session.items
        if item.path == request.path and hasattr(item, "callspec")
    }
    options = "--xla_force_host_platform_device_count=8"
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {options}",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, ROOT / "tests" / "eight_devices.py", folder, *sorted(selected)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (folder / "devices").read_text() == "8"
    return folder


@pytest.fixture
def one(finished, tmp_path):
    """`one(name)`: the same run on one device."""

    def run(name: str, **changed):
        if not changed:
            return finished(name)
        train(tiny(name, **changed), epath.Path(tmp_path) / "one")
        return epath.Path(tmp_path) / "one"

    return run


@pytest.mark.parametrize("name", NAMES)
def test_eight_devices_equal_one(name, eight, one):
    failed = eight / f"{name}.failed"
    assert not failed.exists(), failed.read_text()
    reference = one(name, **overrides(name))
    for mode in MODES:
        assert_close(name, eight / f"{name}-{mode}", reference)


@pytest.mark.parametrize("name", ["vae"])
def test_begun_in_one_mode_and_ended_in_the_other(name, eight, finished):
    for first, last in CHANGES:
        assert_close(name, eight / f"{name}-{first}-{last}", finished(name))


@pytest.mark.parametrize("name", ["dcgan"])
def test_fsdp_divides_the_state(name, eight):
    sizes = json.loads((eight / f"{name}-bytes").read_text())
    assert sizes["fsdp"] < sizes["jit"] / 2 and sizes["pmap"] == sizes["jit"]


@pytest.mark.parametrize("name", ["style-adam"])
def test_three_pictures_on_eight_devices(name, eight, one):
    assert_close(name, eight / f"{name}-three", one(name, **THREE_CONTENTS))


@pytest.mark.parametrize("name", ["dcgan"])
def test_what_eight_devices_trained_one_can_evaluate(name, eight, capsys):
    workdir = eight / f"{name}-jit"
    evaluate(tiny(name), workdir)
    (line,) = [row for row in capsys.readouterr().out.splitlines() if "eval/d_loss" in row]
    np.testing.assert_allclose(
        float(line.split()[1]), metrics_of(workdir)[-1]["eval/d_loss"], rtol=1e-5
    )


@pytest.mark.parametrize("name", ["vae"])
def test_a_batch_that_does_not_divide_is_refused(name, eight):
    told = (eight / "refusals").read_text().splitlines()
    assert len(told) == len(MODES)
    for line in told:
        assert "12 images a step do not divide over 8 devices" in line
        assert "train.batch_size" in line
