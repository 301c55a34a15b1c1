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
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks import timing

PATIENCE = 900.0  # seconds for one answer: compiling a large network takes minutes


class SideError(Exception):
    """A side could not do what it was asked; the message is one line."""


def last_words(log: bytes, code: int) -> str:
    """How a process that is gone ended: the last line of what it printed."""
    lines = [line.strip() for line in log.decode(errors="replace").splitlines() if line.strip()]
    return f"the process ended with {code}: {lines[-1] if lines else 'no message'}"[:300]


class Child:
    """A process that does what it is asked. Closing it, or the parent's end, ends it.

    Args:
      variables: of its environment, besides this process' own.
    """

    def __init__(self, variables: Mapping[str, str]):
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (it lives as long as the process)
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=os.environ | variables,
            start_new_session=True,  # Ctrl-C is for the parent, which then closes its children
        )

    def ask(self, do: str, **arguments: Any) -> Any:
        """Sends one request, a method of `benchmarks.worker.Server`, and waits for its answer.

        Raises:
          SideError: the answer is an error, there is none for PATIENCE seconds, or the process is
            gone.
        """
        line = ""
        with contextlib.suppress(BrokenPipeError):
            request = json.dumps({"do": do} | arguments)
            print(request, file=self._process.stdin, flush=True)
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


@contextlib.contextmanager
def nursery() -> Iterator[Callable[..., Child]]:
    """Yields a function that starts a child, with its arguments for variables; ends them all.

    The children share a compilation cache, empty at first, and a folder for temporary files, as
    whoever is ended at once does not clean up.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="genjax-benchmarks-"))
        variables = {
            "TMPDIR": folder,
            "JAX_COMPILATION_CACHE_DIR": f"{folder}/cache",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # as genjax.devices.cache has it
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            # Else JAX would take three quarters of a GPU at once, and leave the others too little.
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        }
        yield lambda **more: stack.enter_context(contextlib.closing(Child(variables | more)))


class Side:
    """A side in a child of its own, and its rounds.

    Args:
      start: starts the child.
      request: of `benchmarks.worker.Server.open`.
      seconds: that a round takes at least.

    Attributes:
      about: what is known of it, as JSON, with its `rounds`; or only its `error`.
      done: steps since it was opened.
      round_steps, step_seconds: how many a round has, and what one took in the warm-up.

    Raises:
      SideError: from each method, if the child could not do what it was asked.
    """

    def __init__(self, start: Callable[[], Child], request: Mapping[str, Any], seconds: float):
        self._start, self._request, self._seconds = start, request, seconds

    def open(self):
        """Starts the child, and warms up until it has run for half a round at a stretch."""
        self.child = self._start()
        self.about = self.child.ask("open", **self._request) | {"rounds": []}
        # From the start of the process: interpreter, imports, data, compilation, and one step more.
        self.about["first_step_seconds"] = time.monotonic() - self.child.started
        self.done, steps, taken = 2, 1, self.about["step_seconds"]
        while taken < self._seconds / 2:
            least = timing.steps_for(self._seconds, taken / steps)
            steps, taken = self._run(max(2 * steps, least))
        self.step_seconds = taken / steps
        self.round_steps = timing.steps_for(self._seconds, self.step_seconds)

    def align(self, done: int, round_steps: int):
        """Catches up to `done` steps; from now on a round has `round_steps`."""
        if done > self.done:
            self._run(done - self.done)
        self.round_steps = round_steps

    def count(self):
        """Does a round that counts."""
        steps, seconds = self._run(self.round_steps)
        rate = steps * self.about["images_per_step"] / seconds
        self.about["rounds"].append({"steps": steps, "seconds": seconds, "rate": rate})

    def finish(self):
        """Adds the spread of its rates, and its memory."""
        rates = [each["rate"] for each in self.about["rounds"]]
        self.about["rate"] = timing.spread(rates)
        self.about["peak_memory_bytes"] = self.child.ask("peak_memory_bytes")

    def _run(self, steps: int) -> tuple[int, float]:
        self.done += steps
        return self.child.ask("run", steps=steps)
