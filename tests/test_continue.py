"""How a run is used and continued: with other values, from another's weights, without its data."""

import json
import re
import shutil

import numpy as np
import pytest
from etils import epath
from PIL import Image

import main
from genjax import rng, runs
from genjax.errors import UserError
from genjax.train import train
from genjax.workdir import at_step, config_file, saved_steps
from tests.tiny import STEPS, command_line, metrics_of, state_of, tiny


def copy(run, tmp_path) -> epath.Path:
    return epath.Path(shutil.copytree(run, tmp_path / "run"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of 12 small pictures of two classes."""
    folder = tmp_path_factory.mktemp("pictures")
    levels = np.random.default_rng(0).integers(0, 256, (12, 8, 8), np.uint8)
    for i, level in enumerate(levels):
        path = folder / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(level).save(path)
    return folder


@pytest.fixture(scope="module")
def of_pictures(pictures, tmp_path_factory):
    """A finished run on them, with its best checkpoint at a known step."""
    workdir = epath.Path(tmp_path_factory.mktemp("run"))
    train(of_folder(pictures, **{"checkpoint.best": "eval/accuracy"}), workdir)
    return workdir


def of_folder(pictures, **changes):
    return tiny("cnn", **{"data.name": f"folder:{pictures}", "data.size": 8} | changes)


def test_changes_that_are_a_continuation_are_noted(finished, tmp_path, capsys):
    workdir = copy(finished("vae"), tmp_path)
    changed = {"train.steps": STEPS + 2, "optimizer.learning_rate": 5e-4, "data.max_corrupt": 20}
    train(tiny("vae", **changed), workdir)
    rate = tiny("vae").optimizer.learning_rate
    noted = {"data.max_corrupt": [10, 20], "optimizer.learning_rate": [rate, 5e-4]}
    assert config_file.history(workdir) == [{"step": STEPS, "changed": noted}]
    assert f"from step {STEPS} on: data.max_corrupt 20 (was 10)" in capsys.readouterr().err
    assert metrics_of(workdir)[-1]["step"] == STEPS + 2
    # The same command again changes nothing more, and the history stays.
    train(tiny("vae", **changed), workdir)
    assert len(config_file.history(workdir)) == 1


def test_a_finished_schedule_is_said_and_can_be_made_longer(finished, tmp_path):
    workdir = copy(finished("cnn"), tmp_path)
    decay = tiny("cnn").optimizer.decay_steps
    with pytest.raises(UserError) as error:
        train(tiny("cnn", **{"train.steps": decay + 1}), workdir)
    (advice,) = re.findall(r"--config\.([\w.]+)=(\d+)", str(error.value))
    assert advice == ("optimizer.decay_steps", str(decay + 1))
    longer = {"train.steps": STEPS + 1, "optimizer.decay_steps": decay + 1}
    train(tiny("cnn", **longer), workdir)
    (change,) = config_file.history(workdir)
    assert change["changed"] == {"optimizer.decay_steps": [decay, decay + 1]}


def test_a_run_starts_from_anothers_weights(finished, tmp_path):
    """`@8`: of an earlier checkpoint; the optimiser starts afresh."""
    start = f"{finished('vae')}@8"
    train(tiny("vae", init_from=start, **{"train.steps": 1}), epath.Path(tmp_path))
    trained = runs.open_trained(tiny("vae"), finished("vae"), "8")
    run = runs.build(tiny("vae", init_from=start))
    fresh = run.devices.init(run.task.init, rng.stream(0, rng.Stream.INIT), run.task.constants)
    begun = runs.start_from(run, fresh)
    for part in ("encoder", "decoder"):
        expected = getattr(trained.state, part)["params"]
        for name, layer in getattr(begun, part)["params"].items():
            np.testing.assert_array_equal(layer["kernel"], expected[name]["kernel"])
    assert int(begun.step) == 0 and int(trained.state.step) == 8
    assert int(state_of(tmp_path)["step"]) == 1


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "vae",
            {"model.latent": 5},
            r"other shapes: encoder/params/Dense_1/bias is \(8,\) there and \(10,\) here",
        ),
        ("dcgan", {}, "has no generator or discriminator or average: not the kind needed"),
        ("style-adam", {}, "task='style' has no networks to start with"),
    ],
)
def test_weights_that_do_not_fit(name, changes, message, finished, tmp_path):
    with pytest.raises(UserError, match=message):
        train(tiny(name, init_from=str(finished("vae")), **changes), epath.Path(tmp_path))


def test_a_trained_run_does_not_need_its_data(finished, of_pictures, pictures, tmp_path):
    """Nor does a classifier's trunk; training and evaluation do."""
    vae = copy(finished("vae"), tmp_path)
    values = json.loads((vae / "config.json").read_text())
    values["data"]["name"] = "folder:/moved/away"
    (vae / "config.json").write_text(json.dumps(values))
    expected = runs.read_picture(f"run:{finished('vae')}")
    np.testing.assert_array_equal(runs.read_picture(f"run:{vae}"), expected)
    with pytest.raises(UserError, match="/moved/away"):
        runs.open_trained(config_file.load(vae), vae)


def test_data_that_moved_are_the_same_and_other_data_are_refused(of_pictures, pictures, tmp_path):
    workdir = copy(of_pictures, tmp_path)
    moved = tmp_path / "elsewhere"
    shutil.copytree(pictures, moved)
    more = {"checkpoint.best": "eval/accuracy", "train.steps": STEPS + 1}
    train(of_folder(moved, **more), workdir)
    assert config_file.history(workdir)[-1]["changed"].keys() == {"data.name"}
    shutil.copy(moved / "a" / "0.png", moved / "a" / "new.png")
    with pytest.raises(
        UserError, match=r"11 \+ 1 pictures .* then, 12 \+ 1 .*data\.changed=accept"
    ):
        train(of_folder(moved, **more), workdir)
    more |= {"train.steps": STEPS + 2, "data.changed": "accept"}
    train(of_folder(moved, **more), workdir)
    assert config_file.history(workdir)[-1]["changed"].keys() == {"data"}
    shutil.copytree(moved / "a", moved / "c")
    with pytest.raises(UserError, match="choose another --workdir"):
        train(of_folder(moved, **more), workdir)


def test_which_checkpoint(of_pictures):
    steps = saved_steps(of_pictures)
    assert at_step.steps_of(of_pictures, "latest") == steps and len(steps) > 1
    assert at_step.steps_of(of_pictures, str(steps[0])) == [steps[0]]
    (best,) = at_step.steps_of(of_pictures, "best")
    scores = {
        x["step"]: x["eval/accuracy"] for x in metrics_of(of_pictures) if "eval/accuracy" in x
    }
    assert scores[best] == max(scores.values())


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("5", "has no checkpoint of step 5: it has those of 4, 8, 12"),
        ("first", "step 'first' has to be a number, latest or best"),
        ("best", "keeps no best checkpoint: train with --config.checkpoint.best=METRIC"),
    ],
)
def test_checkpoints_that_are_not_there(step, message, finished, capsys):
    arguments = [f"--workdir={finished('dcgan')}", "--mode=sample", f"--step={step}"]
    assert main.main(["main.py", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_step_is_not_for_training(finished, capsys):
    assert main.main([*command_line("vae", finished("vae")), "--step=8"]) == 2
    assert "set init_from=WORKDIR@STEP" in capsys.readouterr().err


def test_an_earlier_step_without_a_config(finished, tmp_path, capsys):
    """`--config` may be left out, because the workdir has it."""
    workdir = copy(finished("vae"), tmp_path)
    for mode in ("sample", "evaluate"):
        assert main.main(["main.py", f"--workdir={workdir}", f"--mode={mode}", "--step=8"]) == 0
        assert "step 8" in capsys.readouterr().out


def test_a_folder_whose_name_looks_like_a_step(tmp_path):
    (tmp_path / "run@8").mkdir()
    assert at_step.split(f"{tmp_path}/run@8") == (epath.Path(tmp_path / "run@8"), "latest")
    assert at_step.split(f"{tmp_path}/run@9") == (epath.Path(tmp_path / "run"), "9")
    assert at_step.split(f"{tmp_path}/run@best") == (epath.Path(tmp_path / "run"), "best")


@pytest.mark.parametrize("split", ["train", "test"])
def test_what_was_trained_is_saved_before_data_that_cannot_be_read(split, tmp_path, monkeypatch):
    """Unreadable pictures turn up in the middle: of the stream, or of the held-out split."""
    config = tiny("vae", **{"data.placement": "stream", "checkpoint.every": 0})
    build = runs.build

    def failing(*arguments, **options):
        run = build(*arguments, **options)
        broken = getattr(run.dataset, split)
        report, calls = broken.report, [0]

        def fail_late(requested, skipped):
            calls[0] += 1
            if calls[0] == 3:
                raise UserError("the data cannot be read")
            report(requested, skipped)

        broken.report = fail_late
        return run

    monkeypatch.setattr(runs, "build", failing)
    with pytest.raises(UserError, match="cannot be read"):
        train(config, epath.Path(tmp_path))
    (saved,) = saved_steps(epath.Path(tmp_path))
    assert 0 < saved < STEPS
    monkeypatch.undo()
    train(config, epath.Path(tmp_path))
    assert [line["step"] for line in metrics_of(tmp_path)] == [6, STEPS]
