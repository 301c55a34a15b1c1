"""What happened since the last line of metrics: means of every step's metrics, and the speed."""

import math
import time
from collections.abc import Mapping

import numpy as np

from genjax.errors import NonFiniteError


class Meter:
    """Collects steps between two lines of `metrics.jsonl`.

    The sums are part of a checkpoint: a run resumed between two lines writes the same means as one
    that was never interrupted.

    Args:
      saved: what `saved()` returned when the checkpoint was written.
    """

    def __init__(self, saved: Mapping | None = None):
        saved = saved or {"sums": {}, "steps": 0, "seconds": 0.0}
        self._sums = dict(saved["sums"])
        self._steps = saved["steps"]
        self._before = saved["seconds"]
        self._started = self._resumed = time.monotonic()
        self._busy, self._images = 0.0, 0

    @property
    def seconds(self) -> float:
        """Since step 0, without the time between an interruption and its resume."""
        return self._before + time.monotonic() - self._started

    def saved(self) -> dict:
        """JSON that a checkpoint carries."""
        return {"sums": dict(self._sums), "steps": self._steps, "seconds": self.seconds}

    def resume_clock(self):
        """Begins to count time for the speed: compilation, evaluation and the like are left out."""
        self._resumed = time.monotonic()

    def add(self, last_step: int, metrics: Mapping[str, np.ndarray], images_per_step: int):
        """Adds the steps that end with `last_step`; metrics are {name: f32[n]}.

        Raises:
          NonFiniteError: a metric of one of the steps is NaN or infinite.
        """
        now = time.monotonic()
        self._busy += now - self._resumed
        self._resumed = now
        for name, values in metrics.items():
            bad = np.flatnonzero(~np.isfinite(values))
            if bad.size:
                step = last_step - len(values) + 1 + int(bad[0])
                raise NonFiniteError(f"train/{name} is {values[bad[0]]} at step {step}")
            self._sums[name] = math.fsum([self._sums.get(name, 0.0), *map(float, values)])
        self._steps += len(values)
        self._images += len(values) * images_per_step

    def images_per_second(self) -> float:
        """Since the last `take`; all devices together."""
        return self._images / max(self._busy, 1e-9)

    def take(self) -> dict[str, float]:
        """The means since the last `take`, named `train/…`, and `perf/images_per_sec`."""
        means = {f"train/{name}": total / self._steps for name, total in self._sums.items()}
        means["perf/images_per_sec"] = self.images_per_second()
        self._sums, self._steps = {}, 0
        self._busy, self._images = 0.0, 0
        return means
