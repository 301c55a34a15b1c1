"""Thirty kills at random moments lose nothing: the run ends with the bits of an undisturbed one."""

import itertools
import random
import shutil
import signal
import time
from collections.abc import Callable

import pytest

from genjax.workdir import saved_steps
from tests.launch import PATIENCE, Process, finish, run
from tests.tiny import assert_same_state, command_line, metrics_of

pytestmark = [pytest.mark.exhaustive, pytest.mark.usefixtures("as_shipped")]

# Checkpoints are written most of the time, so that what is killed is often one of them.
EVENTS = {
    "train.steps": 120,
    "train.steps_per_call": 3,
    "checkpoint.every": 4,
    "log.every": 6,
    "sample.every": 40,
    "evaluate.every": 40,
}
NAMES = ("dcgan", "vae", "cnn", "style-adam", "style-lbfgs")
TWO = {("dcgan", "pmap"), ("vae", "jit"), ("cnn", "jit"), ("style-adam", "pmap")}
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)
GRACE = 3  # seconds that the others have when one is killed, before they are too

# Each run is hit three times, in each of these stages once.
STAGES = ("starting", "training", "writing")
RUNS = [
    pytest.param(name, mode, 1 + ((name, mode) in TWO), i, id=f"{name}-{mode}")
    for i, (name, mode) in enumerate(itertools.product(NAMES, ("jit", "pmap")))
]


class _TooLateError(Exception):
    """The run was over before its kill was due."""


def test_there_are_thirty_kills():
    """Each of `RUNS` fails where one of its signals does not hit a living process."""
    assert len(RUNS) * SIGNALS.count(signal.SIGKILL) >= 20
    assert len(RUNS) * SIGNALS.count(signal.SIGTERM) >= 10


@pytest.mark.parametrize("name, mode, count, seed", RUNS)
def test_killed_again_and_again(name, mode, count, seed, tmp_path):
    moments, workdir, reference = random.Random(seed), tmp_path / "run", tmp_path / "reference"
    contents = {"content": "coffee,astronaut", "content_fit": "crop"}
    changed = EVENTS | {"parallel": mode} | (contents if "style-" in name and count > 1 else {})
    begun = time.monotonic()
    finish(command_line(name, reference, **changed)[1:], tmp_path / "undisturbed", count)
    seconds = time.monotonic() - begun
    stages = [STAGES[(seed + i) % len(STAGES)] for i in range(len(SIGNALS))]
    arguments = command_line(name, workdir, **changed)[1:]
    for attempt in range(3):
        try:
            for i, (stage, number) in enumerate(zip(stages, SIGNALS, strict=True)):
                with run(arguments, tmp_path / f"killed-{attempt}-{i}", count) as started:
                    _wait_for(stage, started, workdir, moments, seconds)
                    _hit(started, moments.randrange(count), number)
            break
        except _TooLateError:  # this machine became faster since the reference ran
            shutil.rmtree(workdir)
            seconds /= 2
    else:
        pytest.fail("the run was three times over before it was killed")
    finish(arguments, tmp_path / "last", count)
    assert_same_state(workdir, reference)
    assert metrics_of(workdir) == metrics_of(reference)


def _wait_for(stage: str, started: list[Process], workdir, moments, seconds: float):
    """Waits for a random moment of a stage, of a run that takes some `seconds` undisturbed."""
    if stage == "starting":
        time.sleep(moments.uniform(0, seconds / 3))
        return
    more = moments.randint(1, 8) * EVENTS["checkpoint.every"]
    step = max(saved_steps(workdir), default=0) + more
    _wait_until(lambda: max(saved_steps(workdir), default=0) >= step, started)
    if stage == "writing":
        old = _unfinished(workdir)
        _wait_until(lambda: _unfinished(workdir) - old, started)
    time.sleep(moments.uniform(0, 0.05))


def _wait_until(reached: Callable[[], bool], started: list[Process]):
    deadline = time.monotonic() + PATIENCE
    while not reached():
        if not started[0].is_alive():
            raise _TooLateError
        assert time.monotonic() < deadline, started[0].errors()
        time.sleep(0.002)


def _unfinished(workdir) -> set[str]:
    """The checkpoints that are being written, or never were to the end."""
    return {path.name for path in (workdir / "checkpoints").glob("*tmp*")}


def _hit(started: list[Process], victim: int, number: signal.Signals):
    """Signals one of the processes and sees all of them end."""
    if not started[victim].signal(number):
        assert started[victim].wait() == 0, started[victim].errors()
        raise _TooLateError
    code = started[victim].wait()
    if code == 0:
        raise _TooLateError
    # Before the loop begins there is nothing to save: SIGTERM ends the process as it always did.
    expected = {-number} if number == signal.SIGKILL else {75, -signal.SIGTERM}
    assert code in expected, started[victim].errors()
    if code == 75:
        assert [process.wait() for process in started] == [75] * len(started)
        return
    deadline = time.monotonic() + GRACE
    while any(process.is_alive() for process in started) and time.monotonic() < deadline:
        time.sleep(0.05)


def test_reading_processes_end_with_a_killed_run(tmp_path):
    """Grain's workers would wait for ever to be asked; and the same command goes on."""
    workdir, reference = tmp_path / "run", tmp_path / "reference"
    changed = EVENTS | {"data.placement": "stream", "data.workers": 2}
    arguments = command_line("vae", workdir, **changed)[1:]
    with run(arguments, tmp_path / "killed") as (process,):
        _wait_until(lambda: saved_steps(workdir), [process])
        assert len(process.descendants()) >= 2
        assert process.signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        deadline = time.monotonic() + 30
        while process.descendants() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not process.descendants()
    finish(arguments, tmp_path / "again")
    finish(command_line("vae", reference, **EVENTS)[1:], tmp_path / "undisturbed")
    assert_same_state(workdir, reference)
    assert metrics_of(workdir) == metrics_of(reference)
