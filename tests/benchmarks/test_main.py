"""The command as people give it, at tiny sizes, and what it answers to mistakes."""

import json
import re
import subprocess
import sys

import pytest

from benchmarks import __main__ as command
from benchmarks import suite
from tests.tiny import ROOT


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.slow
def test_the_whole_command(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--suite=smoke", "--peer=none", f"--out={tmp_path}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["status"] == "complete"
    assert {*results} == {
        *("schema", "suite", "peer", "status", "environment", "matmul", "rows", "parity"),
        "scaling",
    }
    assert [row["name"] for row in results["rows"]] == [
        "tiny-dcgan, batch 8, float32",
        "tiny-style, float32",
        "tiny-command, float32",
        "tiny-score, float32",
    ]
    for row in results["rows"][:2]:
        ours = row["sides"]["genjax"]
        assert len(ours["rounds"]) == suite.CARE["smoke"].rounds
        assert ours["rate"]["low"] <= ours["rate"]["median"] <= ours["rate"]["high"]
        assert ours["mfu"] > 0
        assert 0 < ours["compile_seconds"] < ours["first_step_seconds"]
        assert ours["peak_memory_bytes"] > 10**7
    for row, closeness in zip(results["rows"][2:], (0, 1e-5), strict=True):
        sides = row["sides"]
        assert [*sides] == ["empty cache", "warm cache"]
        (name, first), *_ = sides["empty cache"]["scores"].items()
        # The sets of a score are swapped, and the distance is the same either way.
        assert sides["warm cache"]["scores"][name] == pytest.approx(first, rel=closeness)
    (series,) = results["scaling"]
    assert [point["value"] for point in series["points"]] == [4, 8]
    assert all("rate" in point for point in series["points"]), series

    html, markdown = ((tmp_path / f"report.{kind}").read_text() for kind in ("html", "md"))
    for row in results["rows"]:
        assert row["name"] in html and row["name"] in markdown
    assert html.count("<svg") == 2  # speed and memory of the one series
    assert not re.search(r'(src|href)="(?!data:|#)', html)  # nothing from elsewhere
    for name in re.findall(r"\]\((plots/.*?)\)", markdown):
        assert (tmp_path / name).read_text().startswith("<svg")


def test_an_interruption_keeps_what_was_measured(tmp_path, monkeypatch, capsys):
    def run(chosen, results, say):
        results["rows"].append(
            {
                "name": "tiny-dcgan",
                "workload": "tiny-dcgan",
                "kind": "train",
                "unit": "images",
                "goal": None,
                "commit": "",
                "date": "",
                "sides": {"genjax": {"error": "the moon was in the way"}},
                "fastest": None,
                "ratio": None,
            }
        )
        yield
        raise KeyboardInterrupt

    device = {"platform": "cpu", "kind": "", "count": 1}
    monkeypatch.setattr(suite, "find_device", lambda: (device, {"float32": 1e11}))
    monkeypatch.setattr(suite, "run", run)
    assert command.main(["benchmarks", "--peer=none", f"--out={tmp_path}"]) == 75
    results = json.loads((tmp_path / "results.json").read_text())
    assert (results["status"], len(results["rows"])) == ("interrupted", 1)
    assert "the moon was in the way" in (tmp_path / "report.html").read_text()
    assert capsys.readouterr() == (
        f"interrupted: {tmp_path}/report.html\n",
        "interrupted: 1 rows are kept\n",
    )


@pytest.mark.parametrize(
    "option, expected",
    [
        ("--suite=fast", "--suite=fast is none of quick, full, smoke"),
        ("--only=dcgan-23", "did you mean 'dcgan-32'?"),
        ("--peer=tf", "--peer=tf is none of torch, none"),
        ("--speed=11", "unrecognized arguments: --speed=11 (see --help)"),
    ],
)
def test_mistakes_are_one_line(option, expected, capsys):
    assert command.main(["benchmarks", option]) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1


def test_without_torch(monkeypatch, capsys):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    assert command.main(["benchmarks"]) == 2
    assert 'pip install -e ".[bench]"' in capsys.readouterr().err


def test_elsewhere(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert command.main(["benchmarks", "--peer=none"]) == 2
    assert "run it from the repository's root" in capsys.readouterr().err
