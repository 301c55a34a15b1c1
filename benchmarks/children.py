"""The parent's end of `benchmarks.worker`: a process for each side, asked one at a time."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any, Self

from benchmarks import timing

PATIENCE = 900.0  # seconds for one answer: compiling a large network takes minutes


class SideError(Exception):
    """A side could not do what it was asked; the message is one line."""


def environment(place: str, folder: str) -> dict[str, str]:
    """The variables of a child on a "cpu" or a "gpu".

    Its compilation cache is its own and empty, and its other temporary files lie in `folder` too:
    whoever ends a child at once has to clean up.

    On a GPU, JAX would otherwise take three quarters of the memory for itself at once, and leave
    too little for the others that wait for their turn.
    """
    variables = {
        "JAX_COMPILATION_CACHE_DIR": f"{folder}/cache",
        "TMPDIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # as genjax.devices.cache has it
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    return variables | ({"XLA_PYTHON_CLIENT_PREALLOCATE": "false"} if place == "gpu" else {})


def last_words(log: bytes, code: int) -> str:
    """How a process that is gone ended: the last line of what it printed."""
    lines = [line.strip() for line in log.decode(errors="replace").splitlines() if line.strip()]
    return f"the process ended with {code}: {lines[-1] if lines else 'no message'}"[:300]


class Child:
    """A process that does what it is asked. Closing it, or the parent's end, ends it.

    Args:
      variables: of its environment, besides this process' own.
    """

    def __init__(self, variables: Mapping[str, str] | None = None):
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (it lives as long as the process)
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | dict(variables or {}),
            start_new_session=True,  # Ctrl-C is for the parent, which then closes its children
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, do: str, **arguments: Any) -> Any:
        """Sends one request, a method of `benchmarks.worker.Server`, and waits for its answer.

        Raises:
          SideError: the answer is an error, there is none for PATIENCE seconds, or the process is
            gone.
        """
        line = b""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": do} | arguments).encode() + b"\n")
            self._process.stdin.flush()
            if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
                self.close()
                raise SideError(f"no answer for {PATIENCE:.0f} s")
            line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._log.seek(0)
            raise SideError(last_words(self._log.read(), code))
        answer = json.loads(line)
        if "error" in answer:
            raise SideError(answer["error"])
        return answer["answer"]

    def call(self, function: str, **arguments: Any) -> Any:
        """What a function, `benchmarks.machine:device`, answers in the process."""
        return self.ask("call", function=function, arguments=arguments)

    def close(self):
        """Ends the process and its own workers: at once, as they have nothing to keep."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):  # of a request that it did not read any more
            self._process.stdin.close()
        self._process.stdout.close()
        self._log.close()


class Side:
    """A side that a child has opened, and its rounds.

    Attributes:
      about: what is known of it, as JSON.
      step_seconds: what a step takes, as far as is known.
      done: steps since it was opened, whose first two are among them.

    Raises:
      SideError: here and in each method, it could not do so.
    """

    def __init__(self, child: Child, **request: Any):
        self._child, self._rounds = child, []
        self.about = child.ask("open", **request)
        # From the start of the process: interpreter, imports, data, compilation, and one step more.
        self.about["first_step_seconds"] = time.monotonic() - child.started
        self.step_seconds, self.done = self.about["step_seconds"], 2

    def run(self, steps: int) -> timing.Round:
        """Does so many steps."""
        self.done += steps
        return timing.Round(**self._child.ask("run", steps=steps))

    def warm_up(self, seconds: float):
        """Until it has run for half of `seconds` at a stretch."""
        steps, taken = 1, self.step_seconds
        while taken < seconds / 2:
            steps, taken = self.run(max(2 * steps, timing.steps_for(seconds, taken / steps)))
        self.step_seconds = taken / steps

    def count(self, steps: int):
        """Does a round that counts."""
        self._rounds.append(self.run(steps))

    def rates(self) -> list[float]:
        """Images a second of each round."""
        return timing.rates(self._rounds, self.about["images_per_step"])

    def tell(self, what: str) -> Any:
        """The answer of one of its methods."""
        return self._child.ask("tell", what=what)

    def results(self) -> dict:
        """`about`, with its rounds, the spread of their rates, and its memory."""
        pairs = zip(self._rounds, self.rates(), strict=True)
        return self.about | {
            "rounds": [each._asdict() | {"rate": rate} for each, rate in pairs],
            "rate": timing.spread(self.rates())._asdict(),
            "peak_memory_bytes": self._child.ask("peak_memory_bytes"),
        }
