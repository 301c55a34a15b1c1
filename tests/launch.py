"""Real processes of `main.py` on this machine, as a user starts them; none outlives its test."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.tiny import ROOT

PATIENCE = 240  # seconds, for processes to end by themselves on a machine that has other work

# `python main.py`, after what a test changes in the program.
_PROGRAM = """
import os, signal, sys, time
import genjax, main
from genjax import steps
from genjax.devices import processes

def at_chunk(k, act):
    inputs, calls = steps.Steps.inputs, []
    def look(self, *arguments):
        calls.append(None)
        if len(calls) == k:
            act()
        return inputs(self, *arguments)
    steps.Steps.inputs = look

sys.argv[0] = "main.py"
{change}
sys.exit(main.main(sys.argv))
"""


class Process:
    """One process of a run; what it says goes to files, so that it never waits for a reader."""

    def __init__(self, command: Sequence[str], environment: dict, cwd: Path, name: str):
        self._out, self._err = cwd / f"{name}.out", cwd / f"{name}.err"
        with self._out.open("w") as out, self._err.open("w") as err:
            # A session of its own, so that the processes which it starts can be found and ended.
            self._popen = subprocess.Popen(
                command, cwd=cwd, env=environment, stdout=out, stderr=err, start_new_session=True
            )

    def wait(self, seconds: float = PATIENCE) -> int:
        """The exit code; negative for a signal.

        Raises:
          AssertionError: it is still running.
        """
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s: {self.errors()}") from None

    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def signal(self, number: signal.Signals) -> bool:
        """Sends a signal, to this process alone; whether it was alive to be hit."""
        if not self.is_alive():
            return False
        os.kill(self._popen.pid, number)  # not yet waited for, so the number is still its own
        return True

    def descendants(self) -> list[int]:
        """The processes that it started, and they in turn, which are still there."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                # pid (name) state parent group session ...
                fields = path.read_text().rpartition(")")[2].split()
                number = int(path.parent.name)
                if int(fields[3]) == self._popen.pid != number and fields[0] != "Z":
                    found.append(number)
        return found

    def output(self) -> str:
        return self._out.read_text()

    def errors(self) -> str:
        return self._err.read_text()

    def last_words(self) -> str:
        """The last line on stderr, once all is said.

        When JAX's runtime aborts a process, a small one that it started has the last word.
        """
        deadline = time.monotonic() + PATIENCE
        while self.descendants() and time.monotonic() < deadline:
            time.sleep(0.05)
        return (self.errors().strip().splitlines() or [""])[-1]

    def end(self):
        """Kills it and all that it started."""
        for number in self.descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self._popen.kill()
        self._popen.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def environment(devices: int) -> dict[str, str]:
    """Of a process with so many devices, as a user's but for the compilation cache.

    Without `debug_nans` states are donated, as they are in real runs.
    """
    count = f"--xla_force_host_platform_device_count={devices}"
    flags = f"{os.environ['XLA_FLAGS']} {count}"
    others = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    return {k: v for k, v in os.environ.items() if k != "JAX_DEBUG_NANS"} | others


def on_eight_devices(program: Path | str, *arguments) -> None:
    """Runs `python PROGRAM ARGUMENTS` with eight CPU devices, in the tests' own mode."""
    command = [sys.executable, *map(str, (program, *arguments))]
    both = os.environ | environment(8)
    done = subprocess.run(command, env=both, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def launched(
    commands: Sequence[Sequence[str]], folder: Path, devices: int = 1
) -> Iterator[list[Process]]:
    """Starts `python ARGUMENTS` for each command; kills whatever is left of them at the end.

    Args:
      folder: where process i finds itself in a folder `i` of its own.
    """
    started = []
    try:
        for i, command in enumerate(commands):
            cwd = Path(folder) / str(i)
            cwd.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, *map(str, command)]
            started.append(Process(command, environment(devices), cwd, "said"))
        yield started
    finally:
        for process in started:
            process.end()


def run(
    arguments: Sequence[str],
    folder: Path,
    processes: int = 1,
    devices: int = 1,
    change: str | Callable[[int], str] = "",
    others: Callable[[int], Sequence[str]] = lambda i: (),
    joined: int | None = None,
):
    """`launched` processes of one run of `main.py`.

    Args:
      arguments: of `main.py`, without those which join processes.
      change: Python code run first, in process i `change(i)`. It may use `at_chunk(k, act)`, which
        calls `act()` before chunk k.
      others: further arguments of process i.
      joined: how many of the processes are started; None for all.
    """
    port = free_port()

    def command(i: int) -> list[str]:
        code = change(i) if callable(change) else change
        program = ["-c", _PROGRAM.format(change=code)] if code else [str(ROOT / "main.py")]
        place = (f"--coordinator=127.0.0.1:{port}", f"--processes={processes}", f"--process_id={i}")
        return [*program, *arguments, *(place if processes > 1 else ()), *others(i)]

    count = processes if joined is None else joined
    return launched([command(i) for i in range(count)], folder, devices)


def finish(*arguments, **options) -> list[Process]:
    """Lets the processes of `run` end by themselves; all have to end well."""
    with run(*arguments, **options) as started:
        for process in started:
            assert process.wait() == 0, process.errors()
    return started
