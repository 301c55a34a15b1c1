"""One side of a measurement in a process of its own: requests come as JSON lines, answers go so.

A side that is not asked waits for its pipe and uses no core. What libraries print goes to stderr:
the answers' pipe is taken away from them before anything is imported.
"""

import json
import os
import sys
import time
import traceback


class Server:
    """Does what a request asks; each method is a request, its arguments are the request's.

    Heavy imports stand in the methods: a process imports what its side needs.
    """

    def __init__(self):
        self._side = None

    def open(self, side: str, kind: str, config: str, overrides: dict, device: str) -> dict:
        """Builds a side and does its first two steps. `side` is ours or a variant of the peer's.

        Returns:
          `images_per_step`; `compile_seconds`, which the first step took beyond the second; and
          `step_seconds`, which the second took.
        """
        self._side = _make(side, kind, config, overrides, device)
        first, last = self.run(1), self.run(1)
        second = last["seconds"] / last["steps"]
        return {
            "images_per_step": self._side.images_per_step,
            "compile_seconds": max(0.0, first["seconds"] / first["steps"] - second),
            "step_seconds": second,
        }

    def run(self, steps: int) -> dict:
        """Does so many steps. What a side counted by itself stands; else the clock decides."""
        started = time.perf_counter()
        counted = self._side.run(steps)
        seconds = time.perf_counter() - started
        if counted is not None:
            steps, seconds = counted
        return {"steps": steps, "seconds": seconds}

    def peak_memory(self) -> dict:
        """The most memory that the process used, in bytes."""
        if hasattr(self._side, "peak_memory_bytes"):
            return {"bytes": self._side.peak_memory_bytes()}
        from benchmarks import memory

        return {"bytes": memory.peak_bytes()}

    def model_flop(self) -> dict:
        """FLOP of a step of the opened run, and over how many devices it is divided."""
        from genjax.speed import flops

        run = self._side.built
        return {"flop": flops.model_flop(run), "devices": run.devices.device_count}

    def sent(self) -> dict:
        """What each device sends a step, in bytes."""
        from genjax.speed import collectives

        run = self._side.built
        count, mode = run.devices.device_count, run.config.parallel
        return {"bytes": collectives.sent(collectives.averaged(run), mode, count)}

    def device(self) -> dict:
        """What JAX computes on."""
        import jax

        devices = jax.devices()
        return {
            "platform": devices[0].platform,
            "kind": devices[0].device_kind,
            "count": len(devices),
        }

    def matmul_rate(self, precision: str) -> dict:
        """FLOP/s of one device in matrix products of this type."""
        from genjax.speed import flops

        return {"rate": flops.matmul_rate(precision)}

    def variants(self, device: str, precision: str) -> dict:
        """The names of the peer's variants."""
        from benchmarks import peers

        return {"names": list(peers.variants(device, precision))}


def _make(side: str, kind: str, config: str, overrides: dict, device: str):
    """The side of a workload of some kind: `genjax…` and `bare step` are ours."""
    if kind == "input":
        from benchmarks import input as inputs

        if side == "genjax":
            return inputs.Feed(config, overrides)
        return inputs.Loader(config, overrides, device)
    if side in ("genjax", "bare step"):
        from benchmarks import ours

        if kind == "sample":
            return ours.Samples(config, overrides)
        if kind == "loop" and side == "genjax":
            return ours.Loop(config, overrides)
        return ours.Training(config, overrides, prepared=side == "bare step")
    from benchmarks import theirs

    return (theirs.Samples if kind == "sample" else theirs.Training)(
        config, overrides, side, device
    )


def main():
    """Answers requests until the pipe is closed."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = Server()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(server, request.pop("do"))(**request)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
