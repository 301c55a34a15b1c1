"""Sums up the steps since the last line of metrics.jsonl: means of their metrics, and the speed."""

import math
import time
from collections.abc import Iterable, Mapping

import numpy as np

from genjax.errors import NonFiniteError


class Meter:
    """Collects the steps between two lines of `metrics.jsonl`.

    The sums are part of a checkpoint, so that a run resumed between two lines writes the same means
    as one that was never interrupted.

    A step with a metric that is not finite ends the run. Where such steps are skipped
    (`steps.step_function`), it is counted instead, and left out of the means.

    Args:
      saved: what `saved()` returned when the checkpoint was written.
      max_skipped: how many steps in a row may be skipped; None in a run that skips none.
    """

    def __init__(self, saved: Mapping | None = None, max_skipped: int | None = None):
        saved = saved or {"sums": {}, "steps": 0, "skipped": 0, "in_a_row": 0, "seconds": 0.0}
        self._sums = dict(saved["sums"])
        self._steps = saved["steps"]  # how many steps the sums are of
        self._skipped = saved["skipped"]  # steps skipped since the last line
        self._in_a_row = saved["in_a_row"]  # how many of the newest steps in a row were skipped
        self._max_skipped = max_skipped
        self._before = saved["seconds"]
        self._started = self._resumed = time.monotonic()
        self._busy, self._waited, self._timed, self._images = 0.0, 0.0, 0, 0

    @property
    def seconds(self) -> float:
        """Seconds of training since step 0, without the time between interruption and resume."""
        return self._before + time.monotonic() - self._started

    def saved(self) -> dict:
        """The meter's contents as JSON, for a checkpoint."""
        return {
            "sums": dict(self._sums),
            "steps": self._steps,
            "skipped": self._skipped,
            "in_a_row": self._in_a_row,
            "seconds": self.seconds,
        }

    def resume_clock(self):
        """Starts timing steps from now, which leaves compilation, evaluation and the like out.

        To be called when the devices are idle, before the first of these steps starts.
        """
        self._resumed = time.monotonic()

    def wait(self, seconds: float):
        """Adds the time that the host spent on a chunk's inputs: waiting for and placing data."""
        self._waited += seconds

    def add(self, last_step: int, metrics: Mapping[str, np.ndarray], images_per_step: int):
        """Adds the steps that end with `last_step`; metrics are {name: f32[n]}.

        Raises:
          NonFiniteError: a metric of a step is NaN or infinite and no steps are skipped, or this is
            so for more than `max_skipped` steps in a row.
        """
        now = time.monotonic()
        self._busy += now - self._resumed
        self._resumed = now
        good = np.logical_and.reduce([np.isfinite(values) for values in metrics.values()])
        first_step = last_step - len(good) + 1
        for i, is_good in enumerate(good):
            self._in_a_row = 0 if is_good else self._in_a_row + 1
            if self._in_a_row > (self._max_skipped or 0):
                at = {name: values[i] for name, values in metrics.items()}
                raise NonFiniteError(self._describe(first_step + i, at))
        if good.any():
            for name, values in metrics.items():
                total = [self._sums.get(name, 0.0), *map(float, values[good])]
                self._sums[name] = math.fsum(total)
        self._steps += int(good.sum())
        self._skipped += int((~good).sum())
        self._timed += len(good)
        self._images += len(good) * images_per_step

    def images_per_second(self) -> float:
        """Since the last `take`; all devices together."""
        return self._images / max(self._busy, 1e-9)

    def take(self) -> dict[str, float]:
        """The metrics of the steps since the last `take`; begins anew.

        `train/…`: the means over the steps, without skipped ones; missing if all were skipped.
        `train/skipped`: how many steps were skipped, in a run that skips steps.
        `perf/images_per_sec`: images a second, all devices together.
        `perf/step_ms`: milliseconds a step; `perf/input_wait_ms`: those of them that the host spent
        on the step's inputs.
        """
        means = {f"train/{name}": total / self._steps for name, total in self._sums.items()}
        if self._max_skipped is not None:
            means["train/skipped"] = self._skipped
        means["perf/images_per_sec"] = self.images_per_second()
        means["perf/step_ms"] = 1e3 * self._busy / max(self._timed, 1)
        means["perf/input_wait_ms"] = 1e3 * self._waited / max(self._timed, 1)
        self._sums, self._steps, self._skipped = {}, 0, 0
        self._busy, self._waited, self._timed, self._images = 0.0, 0.0, 0, 0
        return means

    def _describe(self, step: int, metrics: Mapping[str, float]) -> str:
        """Names the first metric that is not finite at `step`."""
        name = next(name for name in as_computed(metrics) if not np.isfinite(metrics[name]))
        what = f"train/{name} is {metrics[name]} at step {step}"
        if self._max_skipped is None:
            return what
        return f"{what}, and train.max_skipped={self._max_skipped} steps before it were skipped"


def as_computed(names: Iterable[str]) -> list[str]:
    """Sorts metric names by when a step computes them, so that the first to fail comes first.

    For example "d_loss", "d_grad_norm", "g_loss", "g_grad_norm": a gradient's norm follows its
    loss, and the generator's update follows the discriminator's, as in the alphabet.
    """
    return sorted(names, key=lambda name: name.replace("grad_norm", "~"))  # "~" sorts after letters
