"""Two workdirs: what is said of each thing that can differ, and the exit code."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import pytest
from etils import epath

from genjax.workdir import Checkpoints, compare, config_file, hold
from tests.tiny import ROOT, STEPS, tiny

MADE_BY = {"jax": "1.0", "devices": "1 x cpu (cpu)", "XLA_FLAGS": ""}
LINES = {10: {"train/loss": 2.0, "perf/mfu": 0.1}, 20: {"train/loss": 1.5, "eval/loss": 3.0}}


def _state(network=1.0, moments=1.0) -> dict:
    layer = {"kernel": jnp.full(3, network), "bias": jnp.full(2, network)}
    return {
        "network": {"params": layer},
        "optimizer": {"count": jnp.int32(7), "mu": jnp.full(3, moments), "nu": jnp.zeros(2)},
    }


@pytest.fixture
def workdir(tmp_path):
    """`workdir(name)`: a folder with a config, lines of metrics.jsonl, and checkpoints."""

    def make(name: str, metrics=LINES, states=None, made_by=MADE_BY, **config) -> epath.Path:
        folder = epath.Path(tmp_path) / name
        folder.mkdir()
        config_file.save(tiny("vae", **config), folder)
        lines = [{"step": s, "images": 8 * s, "seconds": len(name)} | x for s, x in metrics.items()]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
        states = {10: _state(), 20: _state()} if states is None else states
        with Checkpoints(folder, made_by=made_by) as kept:
            for step, state in states.items():
                kept.save(step, state, {"seconds": len(name)}, {})
        return folder

    return make


@pytest.fixture
def said(capsys):
    """`said(a, b)`: (the exit code, the lines on stdout without their indents)."""

    def run(*folders) -> tuple[int, list[str]]:
        capsys.readouterr()  # of what made them
        code = compare.main(["compare.py", *map(str, folders)])
        out, err = capsys.readouterr()
        assert not err
        return code, [line.strip() for line in out.splitlines()]

    return run


def test_a_run_and_its_copy(finished, tmp_path, said):
    shutil.copytree(finished("vae"), tmp_path / "copy")
    code, lines = said(finished("vae"), tmp_path / "copy")
    assert code == 0
    assert lines[3:] == [
        f"metrics.jsonl: the same at steps 6, {STEPS}",
        "",
        f"arrays: the same at steps 4, 8, {STEPS}",
        "",
        "config: the same",
        "",
        "versions and machine: the same",
        "",
        f"the same to the bit: metrics.jsonl to step {STEPS}, arrays to step {STEPS}",
    ]


def test_a_run_notes_what_made_it(finished):
    noted = compare.read(finished("vae")).notes[STEPS]["made_by"]
    assert noted.keys() >= {"genjax", "jax", "jaxlib", "python", "devices", "cpu", "XLA_FLAGS"}
    assert all(isinstance(which, str) for which in noted.values())
    assert "1 x cpu (cpu)" in noted["devices"] and "core" in noted["cpu"]


def test_times_are_not_compared(workdir, said):
    slower = {step: values | {"perf/mfu": 0.01} for step, values in LINES.items()}
    assert said(workdir("a"), workdir("slower", slower))[0] == 0


def test_the_first_line_that_differs(workdir, said):
    other = {
        10: LINES[10],
        20: {"train/loss": 1.5000003, "eval/loss": None, "eval/kl": 0.25},
        30: {"train/loss": 0.0},
    }
    code, lines = said(workdir("a", LINES | {30: {"train/loss": 1.0}}), workdir("b", other))
    assert code == 1
    assert lines[3:9] == [
        "metrics.jsonl: first differs at step 20 (line 2)",
        "A       B          relative difference",
        "train/loss  1.5     1.5000003  2e-07",
        "eval/loss   3.0     null",
        "eval/kl     absent  0.25",
        "step 30, the last of both: 1 differs by up to 1",
    ]
    assert lines[-1].startswith("differs: metrics.jsonl (see docs/when-runs-differ.md); the same")


def test_one_is_shorter(workdir, said):
    code, lines = said(workdir("a"), workdir("b", {10: LINES[10]}))
    assert code == 1
    assert lines[3:5] == ["metrics.jsonl: the same at step 10", "B ends at step 10, A at step 20"]
    assert "which steps have a line" in lines[-1] and "metrics.jsonl to step 10" in lines[-1]
    assert "A ends at step 0, B at step 10" in said(workdir("c", {}), workdir("d", {10: {}}))[1]


def test_a_line_is_missing(workdir, said):
    """The means of the line after it are then over other steps."""
    other = {20: {"train/loss": 1.75, "eval/loss": 3.0}}
    code, lines = said(workdir("a", other), workdir("b"))
    assert code == 1
    assert lines[3:6] == [
        "metrics.jsonl: the same at step 20",
        "train/… is compared only where both are means over the same steps",
        "A has no line of step 10",
    ]


def test_arrays_of_the_optimizer_alone(workdir, said):
    other = {10: _state(), 20: _state(moments=2.0), 30: _state(moments=2.0)}
    code, lines = said(workdir("a"), workdir("b", states=other))
    assert code == 1
    assert lines[5:10] == [
        "arrays: differ at step 20; the same at step 10",
        "step 20: 1 of 5 arrays differ",
        "optimizer/mu",
        "the same: network",
        "not compared, as only B has them: checkpoint 30",
    ]


def test_arrays_of_the_first_and_the_last_step_that_differ(workdir, said):
    """Whole parts of a state are one line each, and what differs again is not listed again."""
    lost = {
        "network": _state()["network"],
        "optimizer": {"count": jnp.int32(7)},
        "extra": jnp.ones(1),
    }
    other = {10: _state(2.0), 20: _state(2.0)}
    assert said(workdir("a"), workdir("b", states=other))[1][5:10] == [
        "arrays: differ at steps 10, 20",
        "step 10: 2 of 5 arrays differ",
        "network/…, all 2",
        "the same: optimizer",
        "step 20: the same arrays differ",
    ]
    assert said(workdir("c"), workdir("d", states={10: _state(2.0), 20: lost}))[1][8:14] == [
        "the same: optimizer",
        "step 20: 3 of 6 arrays differ",
        "extra, which only B has",
        "optimizer/mu, which only A has",
        "optimizer/nu, which only A has",
        "the same: network",
    ]


def test_no_checkpoint_of_the_same_step(workdir, said):
    code, lines = said(workdir("a"), workdir("b", states={15: _state()}))
    assert code == 0
    assert lines[5:8] == [
        "arrays: no step has a checkpoint in both",
        "not compared, as only A has them: checkpoints 10, 20",
        "not compared, as only B has them: checkpoint 15",
    ]
    assert lines[-1] == "the same to the bit: metrics.jsonl to step 20"


def test_nothing_to_compare(workdir, said):
    code, lines = said(workdir("a", {}, {}), workdir("b", {}, {}))
    assert code == 0 and lines[-1] == "nothing differs, but no step is in both"
    assert "not recorded in B, which has no checkpoint" in lines


def test_keys_of_the_config(workdir, said):
    other = workdir("b", seed=1, parallel="pmap", **{"log.every": 3})
    values = json.loads((other / "config.json").read_text())
    del values["precision"]  # as an older version might
    (other / "config.json").write_text(json.dumps(values))
    code, lines = said(workdir("a"), other)
    assert code == 1
    start = lines.index("config: 4 differ")
    assert lines[start + 1 : start + 5] == [
        "precision: 'float32' in A, absent in B",
        "seed: 0 in A, 1 in B",
        "log.every: 6 in A, 3 in B (free)",
        "parallel: 'jit' in A, 'pmap' in B (free, to rounding)",
    ]
    assert lines[-1].startswith("differs: config (see")


def test_versions_and_machines(workdir, said):
    """Those of a run that went on elsewhere too."""
    b = workdir("b", made_by=MADE_BY | {"jax": "2.0"}, states={10: _state()})
    with Checkpoints(b, made_by=MADE_BY | {"jax": "2.0", "XLA_FLAGS": "--x"}) as kept:
        kept.save(20, _state(), {}, {})
    code, lines = said(workdir("a"), b)
    assert code == 1
    assert lines[lines.index("versions and machine: 2 differ") + 1 :] == [
        "jax: 1.0 in A, 2.0 in B",
        "XLA_FLAGS: none in A, none, then --x from step 20 on in B",
        "",
        "differs: versions and machine (see docs/when-runs-differ.md); the same to the bit: "
        "metrics.jsonl to step 20, arrays to step 20",
    ]


def test_versions_that_were_not_recorded(workdir, said):
    """As in checkpoints of before they were."""
    code, lines = said(workdir("a", made_by=None), workdir("b"))
    assert code == 0
    assert "not recorded in A by checkpoints 10, 20" in lines


def test_long_lists_are_shortened(workdir, said):
    other = {step: {f"train/{i}": float(i) for i in range(20)} for step in range(1, 31)}
    wrong = {1: {f"train/{i}": i + 1.0 for i in range(20)}}
    _, lines = said(workdir("a", other, {}), workdir("b", wrong, {}))
    assert "… and 9 more" in lines and len(lines) < 30
    _, lines = said(workdir("c", other, {}), workdir("d", other, {}))
    assert "metrics.jsonl: the same at steps 1, 2, 3, …, 30" in lines


def test_mistakes_are_one_line(workdir, capsys, tmp_path):
    good, damaged = workdir("good"), workdir("damaged")
    notes = damaged / "checkpoints" / "10" / "_CHECKPOINT_METADATA"
    notes.write_bytes(notes.read_bytes()[:50])
    cases = {
        (good, tmp_path / "god"): "god does not exist; did you mean 'good'?",
        (good, tmp_path / "no" / "where"): "no/where does not exist",
        (good, good / "checkpoints"): "is not a run's workdir: it has no config.json",
        (good, damaged): f"checkpoint 10 in {damaged}/checkpoints is damaged (",
        (good, "other://x"): "other://x is no place",
        (good,): "required: WORKDIR (see --help)",
        (good, good, "--fast"): "unrecognized arguments: --fast (see --help)",
    }
    for folders, line in cases.items():
        assert compare.main(["compare.py", *map(str, folders)]) == 2
        out, err = capsys.readouterr()
        assert not out and err.startswith("error: ") and err.count("\n") == 1 and line in err


def test_as_a_program(tmp_path):
    """Nothing warns of a module that is there already."""
    command = [sys.executable, "-m", "genjax.workdir.compare", tmp_path, tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr == f"error: {tmp_path} is not a run's workdir: it has no config.json\n"


def test_help(capsys):
    assert compare.main(["compare.py", "--help"]) == 0
    assert "python -m genjax.workdir.compare WORKDIR WORKDIR" in capsys.readouterr().out


def _files(folder) -> dict:
    found = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def test_a_run_that_is_under_way_is_not_disturbed(workdir, said):
    a, b = workdir("a"), workdir("b")
    unfinished = a / "checkpoints" / "30.orbax-checkpoint-tmp" / "state"
    with hold(a) as held, Checkpoints(a) as kept:
        assert kept.latest() == 20
        unfinished.mkdir(parents=True)
        before = _files(a)
        assert said(a, b)[0] == 0
        assert _files(a) == before and unfinished.exists()
        held.check()
        kept.save(40, _state(), {}, {})
    assert said(a, b)[0] == 0


def test_a_checkpoint_that_is_deleted_meanwhile(workdir, said, monkeypatch):
    a, b, read_notes = workdir("a"), workdir("b"), compare.read_notes

    def late(folder, step):
        if (folder.name, step) == ("a", 10):
            (folder / "checkpoints" / "10").rmtree()
        return read_notes(folder, step)

    monkeypatch.setattr(compare, "read_notes", late)
    code, lines = said(a, b)
    assert code == 0 and "arrays: the same at step 20" in lines
