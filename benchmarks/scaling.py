"""How cost grows: images a second and memory against batch, resolution and number of devices."""

import functools
import os
from typing import NamedTuple

from benchmarks import workloads
from benchmarks.children import Side, SideError, nursery

ROUNDS = 3
_GPU_BATCHES = (32, 128, 512, 2048, 8192)


class Series(NamedTuple):
    """One curve: a workload, with its first batch on a CPU, at several values of one thing."""

    workload: str
    axis: str  # what grows: "batch", "resolution" (px) or "devices"
    key: str  # the config's; "" for devices, which are the environment's
    cpu: tuple[int, ...]  # values
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
        request = {"side": "benchmarks.ours:Training", "config": config, "arguments": arguments}
        with nursery() as start:
            side = Side(functools.partial(start, **variables), request, seconds)
            points.append({"value": value} | _point(side))
    about = {"workload": series.workload, "axis": series.axis, "unit": workload.unit}
    return about | {"points": points}


def _point(side: Side) -> dict:
    try:
        side.open()
        for _ in range(ROUNDS):
            side.count()
        side.finish()
        kept = {key: side.about[key] for key in ("rate", "peak_memory_bytes")}
        return kept | {"sent_bytes": side.child.ask("tell", what="sent_bytes")}
    except SideError as error:
        return {"error": str(error)}
