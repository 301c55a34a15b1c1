"""A run cut anywhere, into any chunks, ends with the bits of one that was never interrupted."""

import os
import shutil
import signal
import subprocess
import sys

import jax
import pytest
from etils import epath

import main
from genjax.devices import parallel
from genjax.errors import Interrupted
from genjax.train import train
from tests.tiny import (
    KINDS,
    ROOT,
    STATES,
    STEPS,
    assert_same_run,
    command_line,
    kinds_first,
    metrics_of,
    state_of,
    tiny,
)

# Run first: a process that kills itself, as `kill -9` would, when it starts its fifth chunk.
# The checkpoint of step 8 may or may not be complete by then.
_KILLED = """
import os, signal, sys
from genjax.devices import parallel
import main
place, calls = parallel.Jit.place_inputs, []
def place_inputs(self, inputs):
    calls.append(0)
    if len(calls) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return place(self, inputs)
parallel.Jit.place_inputs = place_inputs
sys.exit(main.main(sys.argv))
"""


@pytest.fixture
def signal_at_chunk(monkeypatch):
    """`signal_at_chunk(number, k)`: the process gets the signal while it prepares chunk k."""
    place = parallel.Jit.place_inputs

    def arrange(number: signal.Signals, k: int):
        calls = []

        def place_inputs(self, inputs):
            calls.append(None)
            if len(calls) == k:
                signal.raise_signal(number)
            return place(self, inputs)

        monkeypatch.setattr(parallel.Jit, "place_inputs", place_inputs)

    return arrange


# The state of `dcgan-memory` has all that dcgan's has.
RESUMED = ("dcgan-memory", *(name for name in KINDS if name != "dcgan"))

# A run at several scales may not end before its last one: `tests/style/test_scales.py` resumes it.
SEVERAL = ("style-wasserstein", "style-nnst")
AT_ONE_SCALE = [name for name in STATES if name not in SEVERAL]


@pytest.mark.parametrize("name", kinds_first(AT_ONE_SCALE, RESUMED))
def test_interrupted_and_resumed_in_other_chunks(name, finished, tmp_path, signal_at_chunk):
    """train(2N) = train(N) + resume(N), with N steps interrupted besides, between log lines.

    The reference has chunks of up to 5 steps; here they are of 3, 1 and 4, or of 3 where each
    length is long to compile. Without `debug_nans` states are donated, as they are in real runs.
    """
    workdir, half = epath.Path(tmp_path), {"train.steps": STEPS // 2}
    first, second, third = (3, 1, 4) if name == "vae" else (3, 3, 3)
    signal_at_chunk(signal.SIGTERM, 1)
    with jax.debug_nans(False):
        with pytest.raises(Interrupted, match=f"SIGTERM: interrupted at step 3 of {STEPS // 2}"):
            train(tiny(name, **half, **{"train.steps_per_call": first}), workdir)
        train(tiny(name, **half, **{"train.steps_per_call": second}), workdir)
        train(tiny(name, **{"train.steps_per_call": third}), workdir)
    assert_same_run(workdir, finished(name))


def test_resume_draws_the_noise_of_its_own_steps(finished, tmp_path):
    # The comparison above would be blind if nothing depended on the step.
    other = epath.Path(tmp_path)
    train(tiny("vae", seed=1), other)
    reference = state_of(finished("vae"))
    assert any((x != reference[key]).any() for key, x in state_of(other).items())


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_saves_and_exits_75(number, tmp_path, finished, signal_at_chunk, capsys):
    command = command_line("vae", tmp_path)
    signal_at_chunk(number, 3)  # of steps 7 and 8
    handler = signal.getsignal(number)
    assert main.main(command) == 75
    assert signal.getsignal(number) == handler
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == (
        f"{number.name}: interrupted at step 8 of {STEPS}: run the same command to go on"
    )
    assert "interrupted at step 8" in (tmp_path / "report.html").read_text()
    assert main.main(command) == 0
    assert_same_run(tmp_path, finished("vae"))


def test_done_is_said_and_nothing_changes(finished, tmp_path, capsys):
    workdir = shutil.copytree(finished("dcgan"), tmp_path / "run")
    before = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
    assert main.main(command_line("dcgan", workdir)) == 0
    out = capsys.readouterr().out
    assert f"is done: {STEPS} steps" in out and len(out.splitlines()) == 1
    assert {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()} == before


def test_more_steps_after_the_end(finished, tmp_path):
    workdir = epath.Path(shutil.copytree(finished("vae"), tmp_path / "run"))
    train(tiny("vae", **{"train.steps": 18}), workdir)
    assert [line["step"] for line in metrics_of(workdir)] == [6, 12, 18]
    assert metrics_of(workdir)[:2] == metrics_of(finished("vae"))


def test_another_config_is_refused_and_leaves_the_run_alone(finished, tmp_path, capsys):
    workdir = shutil.copytree(finished("vae"), tmp_path / "run")
    before = (workdir / "config.json").read_bytes()
    assert main.main(command_line("vae", workdir, seed=3, **{"train.steps": 18})) == 2
    error = capsys.readouterr().err
    assert "seed (0 there, 3 here)" in error and len(error.splitlines()) == 1
    assert (workdir / "config.json").read_bytes() == before


def test_killed_in_the_middle(finished, tmp_path):
    """`kill -9`, then the same command, as a user's: states donated."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    del environment["JAX_DEBUG_NANS"]
    workdir = tmp_path / "run"
    arguments = command_line("vae", workdir, **{"train.steps_per_call": 2})[1:]
    options = {"env": environment, "cwd": tmp_path, "capture_output": True, "text": True}
    killed = subprocess.run([sys.executable, "-c", _KILLED, *arguments], **options)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (workdir / "report.html").exists()
    again = subprocess.run([sys.executable, ROOT / "main.py", *arguments], **options)
    assert again.returncode == 0, again.stderr
    assert "going on from step" in again.stderr
    assert_same_run(workdir, finished("vae"))


def test_the_same_command_writes_what_a_kill_after_the_last_checkpoint_left_out(finished, tmp_path):
    workdir = epath.Path(tmp_path) / "run"
    shutil.copytree(finished("style-adam"), workdir)
    result = (workdir / "result.png").read_bytes()
    (workdir / "result.png").unlink()
    train(tiny("style-adam"), workdir)
    assert (workdir / "result.png").read_bytes() == result
