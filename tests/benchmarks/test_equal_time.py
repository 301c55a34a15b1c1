"""Trainings of equal time: how many steps, what is done again, and the table; without training."""

import json

import pytest
from PIL import Image

from benchmarks import equal_time, plots
from benchmarks.equal_time import Contestant
from genjax.errors import UserError


@pytest.fixture
def runs(monkeypatch):
    """What `run` was asked for; it writes what a run of 40 ms a step and Fréchet 20 would."""
    asked = []

    def run(config, workdir, options):
        asked.append((config, *options))
        steps = int(config.rpartition("=")[2])
        workdir = equal_time.Path(workdir)
        workdir.mkdir(exist_ok=True)
        if "--mode=evaluate" in options:
            found = {"metric": "frechet_lite0", "value": 20.0, "error": 0.1, "step": steps}
            held_out = {"metric": "eval/d_loss", "value": 1.0, "step": steps}
            lines = [json.dumps(held_out), json.dumps(found | {"n_fake": 100})]
            (workdir / "scores.jsonl").write_text("\n".join(lines))
            return
        # The first call is slower, as one is that compiles.
        times = [4000, 40, 40]
        rows = [json.dumps({"perf/step_ms": t, "seconds": steps * 0.04}) for t in times]
        if every := [o for o in options if o.startswith("--config.score.every=")]:
            every = int(every[0].partition("=")[2])
            looks = range(every, steps + 1, every)
            rows[:0] = [json.dumps({"seconds": 0.04 * s, "eval/frechet_lite0": s}) for s in looks]
        (workdir / "metrics.jsonl").write_text("\n".join(rows))
        (workdir / "config.json").write_text(json.dumps({"train": {"steps": steps}}))

    monkeypatch.setattr(equal_time, "run", run)
    return asked


def test_each_gets_the_steps_that_fit_and_what_is_done_is_not_done_again(tmp_path, runs, capsys):
    command = ["", "--minutes=2", f"--workdir={tmp_path}", "configs/dcgan.py:width=8"]
    assert equal_time.main([*command, "configs/r1.py", "--config.seed=3"]) == 0
    steps = 2 * 60 * 1000 // 40
    shown = capsys.readouterr().out
    row = f"| `configs/dcgan.py:width=8` | {steps:,} | 120 s | 20 ± 0.2 |"
    assert shown.splitlines()[2] == row
    assert shown.startswith("| config | steps | training | frechet_lite0 |")
    assert [each[0] for each in runs] == [
        "configs/dcgan.py:width=8,steps=60",
        *["configs/dcgan.py:width=8,steps=3000"] * 2,
        "configs/r1.py:steps=60",
        *["configs/r1.py:steps=3000"] * 2,
    ]
    assert all("--config.seed=3" in each for each in runs)
    del runs[:]
    # Again, for more minutes: a run that has begun keeps its steps, and its scores are known.
    assert equal_time.main(["", "--minutes=9", *command[2:]]) == 0
    assert [each[0] for each in runs] == ["configs/dcgan.py:width=8,steps=3000"]
    assert row in capsys.readouterr().out


def test_scores_on_the_way_are_drawn(tmp_path, runs, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "courses", lambda *given: drawn.extend(given))
    command = ["", "--minutes=2", f"--workdir={tmp_path}", "--looks=3", "configs/dcgan.py"]
    assert equal_time.main(command) == 0
    assert runs[1] == ("configs/dcgan.py:steps=3000", "--config.score.every=1000")
    seconds_and_scores = {"configs/dcgan.py": {40.0: 1000, 80.0: 2000, 120.0: 3000}}
    assert drawn == ["frechet_lite0", seconds_and_scores, tmp_path / "curves.png"]


def test_curves_are_a_picture(tmp_path):
    plots.courses(
        "frechet_lite0",
        {f"c{i}": {1.0: i + 5, 2.0: i + 1} for i in range(12)},
        tmp_path / "curves.png",
    )
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (960, 504)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name configs to train"),
        (("configs/dcgna.py",), "did you mean configs/dcgan.py"),
        (("configs/dcgan.py", "configs/dcgan.py"), "two configs have one name"),
        (("configs/style.py",), "configs/style.py takes no steps in its ARG"),
        (("configs/dcgan.py", "--looks=-1"), "--looks=-1 has to be 0 or more"),
        (("configs/dcgan.py", "--minutes=0"), "--minutes=0.0 has to be more than 0"),
        (("configs/dcgan.py", "--config.sed=1"), "did you mean 'seed'"),
    ],
)
def test_what_cannot_be_trained_is_one_line(arguments, message, tmp_path, capsys):
    command = ["", "--minutes=1", f"--workdir={tmp_path}", *arguments]
    assert equal_time.main(command) == 2
    assert message in capsys.readouterr().err


def test_a_run_that_fails_ends_it():
    with pytest.raises(UserError, match=r"main.py --config=configs/no.py .* ended with 2"):
        equal_time.run("configs/no.py", "/tmp", [])


def test_steps_join_an_argument():
    assert Contestant("a.py", None).of(5) == "a.py:steps=5"
    assert Contestant("a.py:b=1", None).of(5) == "a.py:b=1,steps=5"
