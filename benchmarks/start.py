"""Start-up: `python main.py`, from the start of the process to its first line of metrics."""

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.children import SideError, last_words

# Of the first step only its line of metrics is due.
_DUE = {"log": 1, "sample": 0, "evaluate": 0, "checkpoint": 0}


def measure(command: list[str], folder: Path) -> dict[str, dict]:
    """Two starts, with an empty and with the then warm compilation cache; as a row's sides.

    Args:
      command: the arguments of `main.py`.
      folder: an empty one for workdirs and the cache.
    """
    sides = {}
    for name in ("empty cache", "warm cache"):
        try:
            seconds = _first_line(command, folder / name.replace(" ", "-"), folder / "cache")
            sides[name] = {"first_step_seconds": seconds}
        except SideError as error:
            sides[name] = {"error": str(error)}
    return sides


def _first_line(command: list[str], workdir: Path, cache: Path) -> float:
    """Seconds from the start of a process to its first line of metrics, which is step 1's."""
    due = [f"--config.{what}.every={steps}" for what, steps in _DUE.items()]
    log, metrics = workdir.with_suffix(".txt"), workdir / "metrics.jsonl"
    with open(log, "wb") as file:
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "main.py", *command, *due, f"--workdir={workdir}"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)},
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                if metrics.exists() and b"\n" in metrics.read_bytes():
                    return time.monotonic() - started
                time.sleep(0.01)
        finally:
            process.kill()
            process.wait()
    raise SideError(last_words(log.read_bytes(), process.returncode))
