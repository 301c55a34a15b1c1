"""Runs in stages: by hand, from every checkpoint, and as every verb opens them."""

import shutil
import sys

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from genjax import runs
from genjax.evaluate import evaluate
from genjax.images import load
from genjax.sample import sample
from genjax.steps import Steps
from genjax.task import Stage, Task
from genjax.train import train
from tests.tiny import assert_same_run, metrics_of, state_of, tiny

ENDS, STEPS = (5, 8), 12
LENGTHS = [2] * 6 + [3] * 3 + [4] * 4  # of the state after so many steps, from 0 on


@flax.struct.dataclass
class _Counted:
    x: jax.Array


def build(config, inputs) -> Task:
    """Each step adds 1, and a stage begins with ten times the numbers before it, and a 0."""

    def of_step(step: int) -> Task:
        number = sum(step > end for end in ENDS)

        def init(key, constants):
            return _Counted(jnp.zeros(number + 2))

        def carry(state, constants):
            return _Counted(jnp.append(state.x * constants["ten"], 0.0))

        def add(state, batch, key, axis_name):
            return _Counted(state.x + 1), {"first": state.x[0], "stage": jnp.float32(number)}

        def grey(state):
            return jnp.broadcast_to(
                state.x.astype(jnp.uint8)[None, None, :, None], (1, 2, number + 2, 1)
            )

        return Task(
            init,
            add,
            1,
            evaluate=lambda state, batch, key: {"last": state.x[-1:]},
            sample=lambda state, key, index: grey(state),
            outputs=lambda state: {f"stage{number}.png": grey(state)[0]},
            constants={"ten": np.float32([10.0])},
            stage=Stage(([*ENDS, None])[number], of_step, carry if number else None),
            notes={"stage": f"{number + 1} of 3"},
        )

    return of_step(1)


@pytest.fixture(autouse=True)
def counted(monkeypatch):
    monkeypatch.setitem(runs.FAMILIES, "style", __name__)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])


def _config(**changes):
    every = {"log.every": 4, "evaluate.every": 4, "sample.every": 4, "checkpoint.every": 1}
    every |= {"checkpoint.keep": 20, "train.steps": STEPS, "train.steps_per_call": 5}
    return tiny("style-adam", **every | changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The workdir of a run that nothing interrupted."""
    workdir = epath.Path(tmp_path_factory.mktemp("whole")) / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(runs.FAMILIES, "style", __name__)
        train(_config(), workdir)
    return workdir


def test_by_hand(whole):
    """5, 5; then 53, 53, 3; then 534, 534, 34, 4."""
    np.testing.assert_array_equal(state_of(whole)["x"], [534, 534, 34, 4])
    lines = metrics_of(whole)
    assert [line["step"] for line in lines] == [4, 5, 8, 12]  # a stage's last step has a line
    assert [line["train/stage"] for line in lines] == [0, 0, 1, 2]
    assert [line["train/first"] for line in lines] == [1.5, 4, 51, 531.5]
    assert [line["eval/last"] for line in lines] == [4, 5, 3, 4]
    for number, pixel in enumerate((5, 53)):
        picture = load(str(whole / f"stage{number}.png"))
        assert picture.shape[1] == number + 2 and picture[0, 0, 0] == pixel
    assert (whole / "stage2.png").exists()
    assert {path.name for path in (whole / "samples").glob("*.png")} == {
        f"{step:08}.png" for step in (4, 5, 8, 12)
    }


@pytest.mark.parametrize("step", [2, 4, 5, 6, 8, 9, 11])
def test_a_run_goes_on_from_every_checkpoint(step, whole, tmp_path):
    """As after a kill: later checkpoints are gone, lines and pictures after them are not."""
    workdir = epath.Path(shutil.copytree(whole, tmp_path / "run"))
    for later in range(step + 1, STEPS + 1):
        shutil.rmtree(workdir / "checkpoints" / str(later))
    (workdir / "stage2.png").unlink()
    if step == ENDS[0]:  # killed before the results of the stage were written
        (workdir / "stage0.png").unlink()
    train(_config(), workdir)
    assert_same_run(workdir, whole)
    assert all((workdir / f"stage{number}.png").exists() for number in range(3))


@pytest.mark.parametrize("first", [5, 7])
def test_a_longer_run_has_the_same_stages(first, whole, tmp_path):
    """The run first ends at a border, or within a stage."""
    for steps in (first, STEPS):
        train(_config(**{"train.steps": steps}), epath.Path(tmp_path))
    np.testing.assert_array_equal(state_of(tmp_path)["x"], state_of(whole)["x"])


def test_no_chunk_crosses_a_border(tmp_path, monkeypatch):
    call, chunks = Steps.__call__, []

    def recording(self, state, inputs, step, n):
        chunks.append((step, n))
        return call(self, state, inputs, step, n)

    monkeypatch.setattr(Steps, "__call__", recording)
    never = dict.fromkeys(("log.every", "sample.every", "evaluate.every", "checkpoint.every"), 0)
    train(_config(**never), epath.Path(tmp_path))
    assert [chunk for chunk in chunks if chunk[1]] == [(0, 5), (5, 3), (8, 4)]
    assert [line["step"] for line in metrics_of(tmp_path)] == [5, 8, 12]


def test_every_step_can_be_opened(whole, tmp_path):
    for step in (1, 5, 6, 8, 9, 12):
        trained = runs.open_trained(_config(), whole, str(step))
        assert trained.step == step and trained.state.x.shape == (LENGTHS[step],)
    workdir = epath.Path(shutil.copytree(whole, tmp_path / "run"))
    evaluate(_config(), workdir, "5")
    sample(_config(), workdir, "6")
    assert np.load(workdir / "samples.npz")["images"].shape[1:] == (2, 3, 1)


def test_damage_after_a_border_leads_back_before_it(whole, tmp_path, capsys):
    workdir = epath.Path(shutil.copytree(whole, tmp_path / "run"))
    for step in range(5, STEPS + 1):
        if step > 6:
            shutil.rmtree(workdir / "checkpoints" / str(step))
        elif step > 4:
            for path in (workdir / "checkpoints" / str(step)).glob("state/manifest.ocdbt"):
                path.unlink()
    train(_config(), workdir)
    assert "checkpoint 4 used" in capsys.readouterr().err
    np.testing.assert_array_equal(state_of(workdir)["x"], state_of(whole)["x"])
