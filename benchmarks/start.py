"""Start-up: `python main.py`, from the start of the process to its first line of metrics."""

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.children import last_words

# Of the first step only its line of metrics is due.
_EVERY = {"log": 1, "sample": 0, "evaluate": 0, "checkpoint": 0}
_DUE = [f"--config.{what}.every={steps}" for what, steps in _EVERY.items()]


def measure(command: list[str], folder: Path) -> dict[str, dict]:
    """A row's sides: `main.py COMMAND` with an empty and with the then warm compilation cache.

    Workdirs and the cache lie in `folder`, which has to be empty.
    """
    return {
        name: _start(command, folder / name.replace(" ", "-"), folder / "cache")
        for name in ("empty cache", "warm cache")
    }


def _start(command: list[str], workdir: Path, cache: Path) -> dict:
    """From the start of a process to its first line of metrics, which is step 1's."""
    log, metrics = workdir.with_suffix(".txt"), workdir / "metrics.jsonl"
    with open(log, "wb") as file:
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "main.py", *command, *_DUE, f"--workdir={workdir}"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)},
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                if metrics.exists() and b"\n" in metrics.read_bytes():
                    return {"first_step_seconds": time.monotonic() - started}
                time.sleep(0.01)
        finally:
            process.kill()
            process.wait()
    return {"error": last_words(log.read_bytes(), process.returncode)}
