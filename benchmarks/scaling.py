"""How cost grows: images a second and memory against batch, resolution and number of devices."""

import os
import tempfile
from typing import NamedTuple

from benchmarks import timing
from benchmarks.children import Child, SideError, environment
from benchmarks.workloads import BY_NAME

ROUNDS = 3


class Series(NamedTuple):
    """One curve: a workload at several values of one thing.

    Attributes:
      workload: whose config and overrides are taken.
      axis: what grows: "batch", "resolution" (px) or "devices".
      key: the config's key; "" for devices, which are the environment's.
      on_cpu, on_gpu: its values; none where nothing is to be learnt.
    """

    workload: str
    axis: str
    key: str
    on_cpu: tuple[int, ...]
    on_gpu: tuple[int, ...] = ()

    def values(self, place: str) -> tuple[int, ...]:
        """On a "cpu" or a "gpu"."""
        return self.on_cpu if place == "cpu" else self.on_gpu


_GPU_BATCHES = (32, 128, 512, 2048, 8192)

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
    """
    workload = BY_NAME[series.workload]
    points = []
    for value in series.values(place):
        overrides = dict(workload.overrides)
        if workload.cpu[0].batch:
            overrides["train.batch_size"] = str(workload.cpu[0].batch)
        virtual = {}
        if series.key:
            overrides[series.key] = str(value)
        else:
            flags = os.environ.get("XLA_FLAGS", "")
            virtual = {
                "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={value}",
            }
        points.append({"value": value} | _point(workload, overrides, place, virtual, seconds))
    return {
        "workload": series.workload,
        "axis": series.axis,
        "unit": workload.unit,
        "points": points,
    }


def _point(workload, overrides: dict, place: str, virtual: dict, seconds: float) -> dict:
    with (
        tempfile.TemporaryDirectory(prefix="genjax-benchmarks-") as folder,
        Child(environment(place, folder) | virtual) as child,
    ):
        try:
            opened = child.ask(
                "open",
                side="genjax",
                kind="train",
                config=workload.config,
                overrides=overrides,
                device=place,
            )
            once = child.ask("run", steps=2)
            steps = timing.steps_for(seconds, once["seconds"] / once["steps"])
            rounds = [
                timing.Round(answer["steps"], answer["seconds"])
                for answer in (child.ask("run", steps=steps) for _ in range(ROUNDS))
            ]
            rates = timing.rates(rounds, opened["images_per_step"])
            return {
                "rate": timing.spread(rates)._asdict(),
                "peak_memory_bytes": child.ask("peak_memory")["bytes"],
                "sent_bytes": child.ask("sent")["bytes"],
            }
        except SideError as error:
            return {"error": str(error)}
