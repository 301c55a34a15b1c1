"""Whole runs on disks that fill up or cannot be written to, and two runs in one workdir."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import main
from genjax.devices import parallel
from genjax.workdir import Checkpoints
from tests.disks import fill, make_read_only, small_disk
from tests.tiny import ROOT, assert_same_run, command_line, state_of

FULL = "No space left on device; make room on the disk"


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", "8m") as folder:
        yield folder


@pytest.fixture
def at_chunk(monkeypatch):
    """`at_chunk(k, act)`: `act()` is called while the run prepares its k-th chunk."""
    place = parallel.Jit.place_inputs

    def arrange(k, act):
        calls = []

        def place_inputs(self, inputs):
            calls.append(None)
            if len(calls) == k:
                act()
            return place(self, inputs)

        monkeypatch.setattr(parallel.Jit, "place_inputs", place_inputs)

    return arrange


def last_line(text: str) -> str:
    return text.splitlines()[-1]


def wait_for(path: Path):
    """Checkpoints are written in the background."""
    while not path.exists():
        time.sleep(0.01)


def assert_whole_lines(workdir: Path) -> list[int]:
    """Every line of metrics.jsonl is JSON, newline included; returns their steps."""
    text = (workdir / "metrics.jsonl").read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line)["step"] for line in text.splitlines()]


# The chunks are steps 1-4, 5-6, 7-8 and 9-12; lines and pictures come at 6 and 12, checkpoints at
# 4, 8 and 12. Files take pages of 4 KiB.
@pytest.mark.parametrize(
    ("chunk", "leave"),
    [
        pytest.param(2, 0, id="not even the line of step 6 fits", marks=pytest.mark.slow),
        pytest.param(
            2, 4096, id="the line fits, but not what TensorBoard has of it", marks=pytest.mark.slow
        ),
        pytest.param(2, 8192, id="the pictures of step 6 do not fit"),
        pytest.param(3, 0, id="no file of checkpoint 8 fits"),
        pytest.param(3, 65536, id="the arrays of checkpoint 8 do not fit"),
    ],
)
def test_a_disk_that_fills_up(chunk, leave, disk, at_chunk, finished, capsys):
    workdir = disk / "run"
    command = command_line("vae", workdir)

    def fill_up():
        wait_for(workdir / "checkpoints" / "4")
        fill(disk, leave)

    at_chunk(chunk, fill_up)
    for _ in range(2):  # the same command fails the same way, and does no harm
        assert main.main(command) == 2
        line = last_line(capsys.readouterr().err)
        assert line.startswith("error: ") and line.endswith(FULL), line
        assert assert_whole_lines(workdir) in ([], [6], [6, 12])
        assert state_of(workdir)["step"] == 4
    (disk / "ballast").unlink()
    assert main.main(command) == 0
    assert_same_run(workdir, finished("vae"))
    left = {path.name for path in workdir.rglob("*") if "tmp" in path.name or ".part" in path.name}
    assert not left


# The disk is full once checkpoint 4 is written.
_FILLED = """
import sys
from pathlib import Path
from genjax.devices import parallel
import main
from tests.disks import fill
from tests.test_storage import wait_for
place, calls, disk = parallel.Jit.place_inputs, [], Path(sys.argv.pop())
def place_inputs(self, inputs):
    calls.append(0)
    if len(calls) == 3:
        wait_for(disk / "run" / "checkpoints" / "4")
        fill(disk)
    return place(self, inputs)
parallel.Jit.place_inputs = place_inputs
sys.exit(main.main(sys.argv))
"""


def run_python(*arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_a_full_disk_is_one_line_for_a_person(disk):
    """Also where threads of Orbax and TensorStore find it full."""
    done = run_python("-c", _FILLED, *command_line("vae", disk / "run")[1:], disk)
    assert done.returncode == 2
    assert last_line(done.stderr).startswith("error: ") and done.stderr.count(FULL) == 1
    assert "ERROR" not in done.stderr  # which is how logged errors begin


def test_writers_dropped_after_the_one_that_failed_say_nothing():
    """Python would have a second last line for each of Orbax's, after the one for a person."""
    done = run_python("-c", "import genjax.workdir.checkpoint\nasync def write(): pass\nwrite()")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("mode", ["train", "evaluate", "sample"])
def test_a_read_only_workdir(mode, disk, finished, capsys):
    workdir = disk / "run"
    shutil.copytree(finished("vae"), workdir)
    before = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
    make_read_only(disk)
    more = {"train.steps": 18}
    assert main.main([*command_line("vae", workdir, **more), f"--mode={mode}"]) == 2
    line = last_line(capsys.readouterr().err)
    assert line.startswith("error: ") and "Read-only file system; choose another place" in line
    assert f"{workdir}/" in line
    assert {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()} == before


def test_a_new_run_on_a_read_only_disk(disk, capsys):
    make_read_only(disk)
    assert main.main(command_line("vae", disk / "run")) == 2
    line = last_line(capsys.readouterr().err)
    assert line == f"error: {disk}/run: Read-only file system; choose another place"


def test_a_samples_folder_that_cannot_be_written_to(tmp_path, finished, capsys):
    """Nor is what was there touched, and the checkpoints go on from where they were."""
    workdir = tmp_path / "run"
    workdir.mkdir()
    with small_disk(workdir / "samples", "16k", "ro"):
        assert main.main(command_line("vae", workdir)) == 2
        line = last_line(capsys.readouterr().err)
        assert line == (
            f"error: cannot write {workdir}/samples/00000006.png: Read-only file system; "
            "choose another place"
        )
    assert main.main(command_line("vae", workdir)) == 0
    assert_same_run(workdir, finished("vae"))


def test_the_second_run_in_one_workdir_is_refused(tmp_path, at_chunk, finished, capsys):
    workdir, others = tmp_path / "run", []
    command = command_line("vae", workdir)
    at_chunk(2, lambda: others.append(run_python(ROOT / "main.py", *command[1:])))
    assert main.main(command) == 0
    (other,) = others
    assert other.returncode == 2
    assert f"error: {workdir} is in use by process {os.getpid()} on " in last_line(other.stderr)
    assert "choose another --workdir" in last_line(other.stderr)
    assert "Traceback" not in other.stderr
    assert_same_run(workdir, finished("vae"))


def test_lines_are_on_the_disk_before_the_checkpoint_that_vouches_for_them(tmp_path, monkeypatch):
    """A resumed run does not write them again: a power cut must not take them."""
    path, synced, saved = tmp_path / "run" / "metrics.jsonl", set(), []
    sync, save = os.fsync, Checkpoints.save

    def fsync(descriptor):
        sync(descriptor)
        status = os.fstat(descriptor)
        synced.add((status.st_ino, status.st_size))

    def save_checkpoint(self, step, *others):
        status = path.stat()
        assert (status.st_ino, status.st_size) in synced
        saved.append(step)
        save(self, step, *others)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Checkpoints, "save", save_checkpoint)
    assert main.main(command_line("vae", tmp_path / "run")) == 0
    assert saved == [4, 8, 12]
