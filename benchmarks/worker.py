"""One side of a measurement in a process of its own: requests come as JSON lines, answers go so.

A side that is not asked waits for its pipe and uses no core. What libraries print goes to stderr:
the answers' pipe is taken away from them before anything is imported.
"""

import json
import os
import pkgutil
import sys
import time
import traceback
from typing import Any


class Server:
    """Does what a request asks: its `do` is a method here, the rest are the method's arguments.

    Classes and functions are named, `benchmarks.ours:Training`, and imported when they are asked
    for: a process imports what its side needs.
    """

    def open(self, side: str, config: str, arguments: list[str], **options) -> dict:
        """Builds a side and does its first two steps.

        Args:
          side: its class, of a config and `options`. It has `images_per_step`, and `run`, which
            does so many steps and returns None, or (steps, seconds) if it counts by itself.
          config, arguments: of `genjax.config.read`.

        Returns:
          `images_per_step`, `step_seconds` of the second step, and `compile_seconds` that the first
          took beyond it.
        """
        from genjax import config as config_lib

        self._side = pkgutil.resolve_name(side)(config_lib.read(config, arguments), **options)
        first, second = (seconds / steps for steps, seconds in map(self.run, (1, 1)))
        return {
            "images_per_step": self._side.images_per_step,
            "compile_seconds": max(0.0, first - second),
            "step_seconds": second,
        }

    def run(self, steps: int) -> tuple[int, float]:
        """Does so many steps: (steps, seconds) as the side counts them, else by the clock."""
        started = time.perf_counter()
        counted = self._side.run(steps)
        return counted or (steps, time.perf_counter() - started)

    def tell(self, what: str) -> Any:
        """The answer of a side's method without arguments."""
        return getattr(self._side, what)()

    def peak_memory_bytes(self) -> int:
        """The most that the process used, as far as its side knows better than the system."""
        from benchmarks import machine

        return getattr(self._side, "peak_memory_bytes", machine.peak_bytes)()

    def call(self, function: str, arguments: dict) -> Any:
        """What a function answers."""
        return pkgutil.resolve_name(function)(**arguments)


def main():
    """Answers requests until the pipe is closed."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = Server()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"answer": getattr(server, request.pop("do"))(**request)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
