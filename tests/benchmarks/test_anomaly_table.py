"""The table of classes left out: what is trained, what is not done again, and means by hand."""

import json

import pytest

from benchmarks import anomaly_table, equal_time

_STEPS = 7


@pytest.fixture
def runs(monkeypatch):
    """The options of each call of `main.py`, which writes what an evaluation would."""
    asked = []

    def run(config, workdir, options):
        assert config == f"configs/vae.py:data=mnist,steps={_STEPS}"
        asked.append((workdir.name, *options))
        workdir.mkdir(exist_ok=True, parents=True)
        if options[-1] == "--mode=evaluate":
            left = int(workdir.name)
            found = [
                {"metric": f"auroc/{name}", "value": value, "error": error, "step": _STEPS}
                for name, value, error in (("mse", 0.1 * left, 0.01), ("pca", 0.5, None))
            ]
            found.append({"metric": "average_precision/mse", "value": 0.2, "step": _STEPS})
            lines = "".join(json.dumps(each) + "\n" for each in found)
            (workdir / "scores.jsonl").write_text(lines)

    monkeypatch.setattr(equal_time, "run", run)
    return asked


def test_each_class_is_left_out_once(runs, tmp_path, capsys):
    command = ["", "--data=mnist", f"--steps={_STEPS}", f"--workdir={tmp_path / 'all'}"]
    assert anomaly_table.main(command) == 0
    assert len(runs) == 20
    others = "--config.data.classes=0,1,2,4,5,6,7,8,9"
    assert runs[6] == ("3", "--config.score.metrics=anomalies", others)
    assert runs[7] == (*runs[6], "--mode=evaluate")
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert lines[0] == "| left out | mse | pca |"
    assert lines[5] == "| 3 | 0.300 ± 0.020 | 0.500 |"
    assert lines[-1] == "| mean | 0.450 | 0.500 |"
    assert (tmp_path / "all" / "table.md").read_text() == shown
    # What is there is not done again; a score that is missing is.
    (tmp_path / "all" / "4" / "scores.jsonl").unlink()
    del runs[:]
    assert anomaly_table.main(command) == 0
    assert [each[0] for each in runs] == ["4", "4"]


def test_a_score_that_a_class_lacks_has_no_mean():
    one = {"value": 0.5}
    found = anomaly_table.table({"a": {"mse": one, "lpips": one}, "b": {"mse": one}})
    assert found.splitlines()[3:] == [f"| {name} | 0.500 | \N{EN DASH} |" for name in ("b", "mean")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data=mnist", "--steps=0"), "--steps=0 has to be 1 or more"),
        (
            ("--data=mnist", "--steps=1", "--config.data.classes=0,1"),
            "--data=mnist has 2 classes: it takes 3 or more",
        ),
    ],
)
def test_what_cannot_be_run_is_one_line(options, message, tmp_path, capsys):
    assert anomaly_table.main(["", *options, f"--workdir={tmp_path}"]) == 2
    assert message in capsys.readouterr().err
