"""Tiles that eight devices share out are those of one; this file also computes them on eight.

python tests/style/test_shared_tiles.py FOLDER [RUN ...]
"""

import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from configs import style as style_config
from genjax import runs
from genjax.devices import shared as sharing
from genjax.nn import backend
from genjax.speed import collectives
from genjax.style import objective as style_objective
from genjax.train import train
from tests.launch import finish, on_eight_devices
from tests.style.test_tiles import narrow
from tests.tiny import command_line, state_of, tiny, without_curves

TILE = 16
SHAPE = (75, 61)  # 5 x 4 tiles of 16 px, which eight devices do not divide
RUNS = {"style-adam": "fsdp", "style-lbfgs": "jit"}
TILED = {"tile": "8", "size": 36, "train.steps": 3}  # 36 x 24 px are 15 tiles


def computed(is_shared: bool) -> dict[str, np.ndarray]:
    """Targets, losses and the gradient of a picture in the style of another."""
    config = style_config.get_config("preset=gatys")
    config.content_loss.layers = ("relu2_2",)
    config.style_loss.update(layers=("relu1_1", "relu3_1"), weights=(0.7, 0.3))
    config.update({"features": {"name": "cnn:narrow"}, "tv_weight": 0.1})
    net, keys = narrow("zero"), jax.random.split(jax.random.key(0), 3)
    objective = style_objective.make(config, net, tile=TILE, is_shared=is_shared)
    picture, content, style = (
        jax.random.uniform(key, (1, *shape, 3))
        for key, shape in zip(keys, [SHAPE, SHAPE, (57, 86)], strict=True)
    )

    def run(weights, picture, content, style):
        target = objective.content_target(weights, content)
        of_style = objective.style_target(weights, [style])

        def total(x):
            pieces = objective.pieces(weights, x, target, of_style)
            return pieces["total"][0], pieces

        (_, pieces), gradient = jax.value_and_grad(total, has_aux=True)(picture)
        return {"target": target["relu2_2"], "gradient": gradient, **pieces}

    with backend.native():
        return jax.tree.map(np.asarray, jax.jit(run)(net.weights, picture, content, style))


def windows_of_a_device() -> list[int]:
    """How many windows a device computes, one after the other, wherever it does in a step."""
    run = runs.build(tiny("style-adam", **TILED))
    state, batch, key = runs.step_shapes(run)
    constants = dict(run.task.constants)
    program = jax.make_jaxpr(lambda *given: run.task.step(*given, None))
    return list(_scans({"program": program(state, batch | constants, key)}))


def _scans(params: dict, of_device: bool = False):
    """The lengths of the scans in the programs that are among an equation's parameters."""
    for program in jaxprs_in_params(params):
        for equation in program.eqns:
            name = equation.primitive.name
            if of_device and name == "scan":
                yield equation.params["length"]
            yield from _scans(equation.params, of_device or name == "shard_map")


@pytest.fixture(scope="module")
def eight(request, shared):
    """The folder in which eight devices left what they computed, and the runs that are tested."""
    selected = {
        item.callspec.params["name"]
        for item in request.session.items
        if item.path == request.path and hasattr(item, "callspec")
    }

    def make(folder):
        on_eight_devices(__file__, folder, *sorted(selected))

    return Path(shared("shared-tiles", make))


def _assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, x in theirs.items():
        limit = 1e-5 * np.abs(x).max(initial=0)
        np.testing.assert_allclose(ours[name], x, rtol=1e-5, atol=limit, err_msg=name)


def test_losses_and_gradient_are_those_of_one_device(eight):
    _assert_equal(dict(np.load(eight / "computed.npz")), computed(False))


def test_a_device_computes_its_share_of_the_windows(eight):
    """Of 15 tiles over eight devices two each, forward and backward; one device, all of them."""
    assert np.load(eight / "windows.npy").tolist() == [2, 2]


def test_what_devices_are_said_to_send(eight):
    """The picture's gradient of 24 x 36 x 3 numbers; forward and backward, two Gram matrices of 64
    and 128 channels, and the content's error. All of 4 bytes."""
    sums = 64**2 + 128**2 + 1
    assert np.load(eight / "sent.npy").tolist() == [4 * 24 * 36 * 3, 2 * 4 * sums, 0]


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_eight_devices_is_that_of_one(name, eight, tmp_path):
    train(tiny(name, **TILED), tmp_path)
    _assert_equal(state_of(eight / name), state_of(tmp_path))
    assert "8 px, 15 of them over 8 devices" in (eight / name / "report.html").read_text()
    assert (eight / name / "result.png").read_bytes() == (tmp_path / "result.png").read_bytes()


@pytest.mark.slow
def test_a_run_of_two_processes_is_that_of_one(tmp_path):
    """Two devices each; one alone goes on from a checkpoint of theirs."""
    name, ours, theirs = "style-lbfgs", tmp_path / "ours", tmp_path / "theirs"
    finish(command_line(name, ours, **TILED | {"train.steps": 2})[1:], tmp_path, 2, 2)
    train(tiny(name, **TILED), ours)
    train(tiny(name, **TILED), theirs)
    _assert_equal(state_of(ours), state_of(theirs))


def test_devices_share_tiles_where_they_do_not_divide_the_pictures(monkeypatch):
    monkeypatch.setattr(sharing, "devices", lambda: 4)
    assert [sharing.possible("jit", pictures) for pictures in (1, 2, 4, 6, 8)] == [
        *(True, True, False, True, False)
    ]
    assert sharing.possible("fsdp", 1) and not sharing.possible("pmap", 1)
    monkeypatch.setattr(sharing, "devices", lambda: 1)
    assert not sharing.possible("jit", 1)


def test_one_device_shares_nothing():
    task = runs.build(tiny("style-adam", **TILED)).task
    assert not task.shared and task.notes["tile"] == "8 px"


if __name__ == "__main__":
    without_curves()
    out = Path(sys.argv[1])
    assert sharing.devices() == 8
    np.savez(out / "computed.npz", **computed(True))
    np.save(out / "windows.npy", windows_of_a_device())
    what = collectives.averaged(runs.build(tiny("style-adam", **TILED)))
    np.save(out / "sent.npy", [what.gradients, what.statistics, what.metrics])
    for each in sys.argv[2:]:
        train(tiny(each, **TILED, parallel=RUNS[each]), out / each)
