"""Pictures drawn by latents, in calls of one size."""

from collections.abc import Callable

import numpy as np

from genjax import runs
from genjax.errors import UserError
from genjax.latents import Latents


def latents_of(run: runs.Run) -> Latents:
    """The latents that a run's pictures follow from.

    Raises:
      UserError: it has none.
    """
    if run.task.latents is None:
        raise UserError(f"task={run.config.task!r} has no latents: set sample.kind=pictures")
    return run.task.latents


def pictures(run: runs.Run, function: Callable, *arrays: np.ndarray) -> Callable:
    """`(*arguments) -> u8[n, H, W, C]`, in calls of one size.

    Args:
      function: `(*arguments, *arrays) -> u8[b, H, W, C]`, traceable.
      arrays: [n, ...] each, of which it gets b at a time.
    """
    n = len(arrays[0])
    size = min(runs.TOGETHER, run.task.images_per_step, n)
    compiled = run.devices.on_state(function, often=True)

    def call(*arguments):
        found = []
        for first in range(0, n, size):
            rows = np.minimum(np.arange(first, first + size), n - 1)  # the last one fills up
            batch = compiled(*arguments, *(x[rows] for x in arrays))
            found.append(np.asarray(batch)[: n - first])
        return np.concatenate(found)

    return call
