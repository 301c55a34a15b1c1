"""What happened since the last line of metrics: means of every step's metrics, and the speed."""

import math
import time
from collections.abc import Iterable, Mapping

import numpy as np

from genjax.errors import NonFiniteError


class Meter:
    """Collects steps between two lines of `metrics.jsonl`.

    The sums are part of a checkpoint: a run resumed between two lines writes the same means as one
    that was never interrupted.

    A step with a metric that is not finite ends the run, or is left out of the means and counted
    where such steps are skipped (`steps.step_function`).

    Args:
      saved: what `saved()` returned when the checkpoint was written.
      max_skipped: how many steps in a row may be skipped; None in a run that skips none.
    """

    def __init__(self, saved: Mapping | None = None, max_skipped: int | None = None):
        saved = saved or {"sums": {}, "steps": 0, "skipped": 0, "in_a_row": 0, "seconds": 0.0}
        self._sums = dict(saved["sums"])
        self._steps = saved["steps"]  # that the sums are of
        self._skipped = saved["skipped"]  # since the last line
        self._in_a_row = saved["in_a_row"]  # skipped at the end, across lines
        self._max_skipped = max_skipped
        self._before = saved["seconds"]
        self._started = self._resumed = time.monotonic()
        self._busy, self._waited, self._timed, self._images = 0.0, 0.0, 0, 0

    @property
    def seconds(self) -> float:
        """Since step 0, without the time between an interruption and its resume."""
        return self._before + time.monotonic() - self._started

    def saved(self) -> dict:
        """JSON that a checkpoint carries."""
        return {
            "sums": dict(self._sums),
            "steps": self._steps,
            "skipped": self._skipped,
            "in_a_row": self._in_a_row,
            "seconds": self.seconds,
        }

    def resume_clock(self):
        """Begins to count time for the speed: compilation, evaluation and the like are left out."""
        self._resumed = time.monotonic()

    def wait(self, seconds: float):
        """Adds what the host spent on a chunk's inputs: waiting for data, and placing it."""
        self._waited += seconds

    def add(self, last_step: int, metrics: Mapping[str, np.ndarray], images_per_step: int):
        """Adds the steps that end with `last_step`; metrics are {name: f32[n]}.

        Raises:
          NonFiniteError: a metric of one of the steps is NaN or infinite, where none is skipped, or
            more than `max_skipped` in a row are.
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
        """The means since the last `take`, named `train/…`, and what the steps took.

        `perf/images_per_sec`, all devices together; `perf/step_ms` of the clock, and of these
        `perf/input_wait_ms` in which the host was busy with a step's input.

        Where steps are skipped, also their number as `train/skipped`; the means are of the others,
        and missing where there is no other.
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
        """What went wrong first at `step`."""
        name = next(name for name in as_computed(metrics) if not np.isfinite(metrics[name]))
        what = f"train/{name} is {metrics[name]} at step {step}"
        if self._max_skipped is None:
            return what
        return f"{what}, and train.max_skipped={self._max_skipped} steps before it were skipped"


def as_computed(names: Iterable[str]) -> list[str]:
    """The names with a gradient's norm after the losses that it is of: what fails first is first.

    "d_loss", "d_grad_norm", "g_loss", "g_grad_norm": the discriminator's update comes before the
    generator's, in time as in the alphabet.
    """
    return sorted(names, key=lambda name: name.replace("grad_norm", "~"))  # which ASCII has last
