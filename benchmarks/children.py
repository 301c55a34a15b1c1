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
    if place == "gpu":
        variables["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    return variables


class Child:
    """A process that serves one side. Closing it, or the parent's end, ends it.

    Args:
      environment: variables besides this process' own; a value of "" removes one.
    """

    def __init__(self, environment: Mapping[str, str] | None = None):
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (it lives as long as the process)
        self.started = time.monotonic()
        merged = os.environ | dict(environment or {})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={name: value for name, value in merged.items() if value},
            start_new_session=True,  # Ctrl-C is for the parent, which then closes its children
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, do: str, **arguments: Any) -> dict:
        """Sends one request and waits for its answer.

        Raises:
          SideError: the answer is an error, there is none for PATIENCE seconds, or the process is
            gone.
        """
        try:
            self._process.stdin.write(json.dumps({"do": do} | arguments).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise SideError(self._last_words()) from None
        readable, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        if not readable:
            self.close()
            raise SideError(f"no answer for {PATIENCE:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise SideError(self._last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise SideError(answer["error"])
        return answer

    def close(self):
        """Ends the process and its own workers: at once, as they have nothing to keep."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):  # of a request that it did not read any more
            self._process.stdin.close()
        self._process.stdout.close()
        self._log.close()

    def _last_words(self) -> str:
        """How a process that is gone ended."""
        code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "no message")
        return f"the process ended with {code}: {last}"[:300]
