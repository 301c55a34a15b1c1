"""How well a run uses its machine: utilisation and peak memory, as metrics `perf/…`.

A metric that cannot be determined is left out.
"""

import re
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import jaxlib

from genjax import runs
from genjax.devices import cache
from genjax.nn import compute_type
from genjax.speed import flops


class Speed:
    """The FLOP of a run's step, and the rate of its devices."""

    def __init__(self, run: runs.Run):
        """Traces a step, and once a machine times a matrix product: under a second.

        The devices should be idle.
        """
        self._devices = run.devices.mesh.local_devices
        self._images_per_step = run.task.images_per_step
        self._flop = flops.model_flop(run)
        count = run.devices.device_count
        # Several CPU devices share the cores, so their rate is not a multiple of that of one alone.
        self._rate = None
        if count == 1 or self._devices[0].platform != "cpu":
            self._rate = count * _rate(compute_type(run.config.precision), self._devices[0])

    def __str__(self) -> str:
        """A fact for the report."""
        text = f"{self._flop / 1e9:,.4g} model GFLOP a step"
        if self._rate:
            text += f"; matrix products reach {self._rate / 1e9:,.4g} GFLOP/s"
        return text

    def metrics(self, images_per_second: float) -> dict[str, float]:
        """`perf/mfu`, from 0 to 1, and `perf/peak_memory_mb`, as far as they can be determined."""
        found = {}
        if self._rate and self._flop:
            rate = self._flop * images_per_second / self._images_per_step
            found["perf/mfu"] = rate / self._rate
        peak = peak_memory(self._devices)
        if peak is not None:
            found["perf/peak_memory_mb"] = peak / 1e6
        return found


def _rate(dtype, device: jax.Device) -> float:
    """`flops.matmul_rate(dtype)` of a device, measured once a machine and version of XLA."""
    kind = re.sub(r"\W+", "_", device.device_kind)
    name = f"matmul-{jnp.dtype(dtype).name}-{kind}-jaxlib-{jaxlib.__version__}"
    return cache.kept(name.lower(), partial(flops.matmul_rate, dtype))


def peak_memory(devices: list[jax.Device]) -> int | None:
    """The most bytes that one of this process' devices ever held; None where JAX does not say.

    On a CPU it is the memory of the process (`resident_peak`).
    """
    if devices[0].platform == "cpu":
        return resident_peak()
    counted = [device.memory_stats() or {} for device in devices]
    peaks = [x["peak_bytes_in_use"] for x in counted if "peak_bytes_in_use" in x]
    return max(peaks, default=None)


def resident_peak() -> int | None:
    """The largest resident set of this process in bytes, Python and data included; None off Linux.

    Not from `getrusage`, whose number on Linux begins with that of the parent process.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = dict(x.split(":", 1) for x in status.read_text().splitlines())
    return int(lines["VmHWM"].removesuffix("kB")) * 1024
