"""How cost grows: images a second and memory against batch, resolution and number of devices."""

import os
import tempfile
from typing import NamedTuple

from benchmarks import timing, workloads
from benchmarks.children import Child, Side, SideError, environment

ROUNDS = 3
_GPU_BATCHES = (32, 128, 512, 2048, 8192)


class Series(NamedTuple):
    """One curve: a workload at several values of one thing.

    Attributes:
      workload: whose command is taken, with its first batch on a CPU.
      axis: what grows: "batch", "resolution" (px) or "devices".
      key: the config's key; "" for devices, which are the environment's.
      cpu, gpu: its values on either; none where nothing is to be learnt.
    """

    workload: str
    axis: str
    key: str
    cpu: tuple[int, ...]
    gpu: tuple[int, ...] = ()


SERIES = {
    "smoke": (Series("tiny-dcgan", "batch", "train.batch_size", (4, 8), (4, 8)),),
    "quick": (
        Series("dcgan-32", "batch", "train.batch_size", (16, 64), (64, 1024)),
        Series("vae-mlp", "devices", "", (1, 2)),
    ),
    "full": (
        Series("dcgan-32", "batch", "train.batch_size", (8, 16, 32, 64, 128, 256), _GPU_BATCHES),
        Series("vae-mlp", "batch", "train.batch_size", (25, 100, 400, 1600, 6400), _GPU_BATCHES),
        Series("dcgan-32", "resolution", "data.size", (16, 32, 64, 128), (16, 32, 64, 128)),
        Series("style-adam-256", "resolution", "size", (64, 128, 256, 512), (128, 256, 512, 1024)),
        Series("dcgan-32", "devices", "", (1, 2, 4, 8)),
        Series("vae-mlp", "devices", "", (1, 2, 4)),
    ),
}


def measure(series: Series, place: str, seconds: float) -> dict:
    """The curve's points, each in a process of its own; as JSON.

    Several devices share the machine's cores: they are XLA's virtual ones, of a CPU. What each of
    them sends a step is counted, not measured.

    Args:
      place: "cpu" or "gpu".
      seconds: that a round takes at least.
    """
    workload = workloads.BY_NAME[series.workload]
    points = []
    for value in getattr(series, place):
        config, arguments = workloads.arguments(workload, workload.settings("cpu")[0])
        variables = {}
        if series.key:
            arguments.append(f"--config.{series.key}={value}")
        else:
            flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count"
            variables["XLA_FLAGS"] = f"{flags}={value}"
        point = _point(place, variables, seconds, config=config, arguments=arguments)
        points.append({"value": value} | point)
    return {
        "workload": series.workload,
        "axis": series.axis,
        "unit": workload.unit,
        "points": points,
    }


def _point(place: str, variables: dict, seconds: float, **request) -> dict:
    with (
        tempfile.TemporaryDirectory(prefix="genjax-benchmarks-") as folder,
        Child(environment(place, folder) | variables) as child,
    ):
        try:
            side = Side(child, side="benchmarks.ours:Training", **request)
            side.warm_up(seconds)
            for _ in range(ROUNDS):
                side.count(timing.steps_for(seconds, side.step_seconds))
            kept = ("rate", "peak_memory_bytes")
            results = {name: value for name, value in side.results().items() if name in kept}
            return results | {"sent_bytes": side.tell("sent_bytes")}
        except SideError as error:
            return {"error": str(error)}
