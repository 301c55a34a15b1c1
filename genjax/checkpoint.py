"""Checkpoints: asynchronous, through Orbax's v1 API; the newest few and the best are kept.

A checkpoint has the task's state and the loop's progress (JSON). It becomes visible by one rename
when it is complete, so a run killed while it saves leaves the previous one as the newest.
"""

import math
from typing import Any

import jax
import numpy as np
from etils import epath
from orbax.checkpoint import v1 as ocp

from genjax.errors import UserError


class Checkpoints:
    """The checkpoints of one workdir.

    Args:
      directory: made when the first checkpoint is saved.
      keep: how many of the newest are kept.
      best: the name of the evaluation metric whose best checkpoint is kept besides; "" for none.
      best_mode: "max" or "min", what the best value is.
    """

    def __init__(
        self, directory: epath.Path, keep: int = 3, best: str = "", best_mode: str = "max"
    ):
        policies = ocp.training.preservation_policies
        kept = [policies.LatestN(keep)]
        if best:
            kept.append(
                policies.BestN(
                    get_metric_fn=lambda metrics: metrics[best],
                    reverse=best_mode == "min",
                    n=1,
                    keep_checkpoints_without_metrics=False,
                )
            )
        self._best, self._best_mode = best, best_mode
        self._checkpointer = ocp.training.Checkpointer(
            epath.Path(directory).resolve(),
            preservation_policy=policies.AnyPreservationPolicy(kept),
            cleanup_tmp_directories=True,
        )

    def save(self, step: int, state, progress: dict[str, Any], metrics: dict[str, float]):
        """Starts to write a checkpoint, once the one before it is written; copies `state` first.

        `metrics` are the evaluation's at this step, if there was one.
        """
        self._checkpointer.wait()
        value = metrics.get(self._best, math.nan)
        self._checkpointer.save_checkpointables_async(
            step,
            {"state": state},
            force=True,
            metrics={self._best: value} if math.isfinite(value) else None,
            custom_metadata=progress,
        )

    def latest(self) -> int | None:
        """The step of the newest complete checkpoint."""
        newest = self._checkpointer.latest
        return None if newest is None else newest.step

    def best(self) -> tuple[int, float] | None:
        """Step and value of the best kept checkpoint, where one has a value."""
        self._checkpointer.wait()
        values = {
            c.step: c.metrics[self._best] for c in self._checkpointer.checkpoints if c.metrics
        }
        best = max if self._best_mode == "max" else min
        return best(values.items(), key=lambda item: item[1], default=None)

    def restore(self, step: int, abstract_state) -> tuple[Any, dict[str, Any]]:
        """State and progress of `step`, in the shapes and shardings of `abstract_state`."""
        loaded = self._checkpointer.load_checkpointables(step, {"state": abstract_state})
        return loaded["state"], self._checkpointer.metadata(step).custom_metadata

    def wait(self):
        """Until everything is written."""
        self._checkpointer.wait()

    def close(self):
        """Waits, and lets go of the folder."""
        self._checkpointer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def restore_arrays(workdir: epath.Path, names: tuple[str, ...]) -> dict[str, Any]:
    """The named parts of the newest state in `workdir`, as nested dicts of numpy arrays.

    For a network that serves another task, whose state class need not be known.

    Raises:
      UserError: there is no checkpoint, or its state lacks a part.
    """
    directory = (epath.Path(workdir) / "checkpoints").resolve()
    if not directory.exists():
        raise UserError(f"{workdir} has no checkpoints: train a run there first")
    with ocp.training.Checkpointer(directory) as checkpointer:
        if checkpointer.latest is None:
            raise UserError(f"{workdir} has no checkpoints: train a run there first")
        saved = checkpointer.checkpointables_metadata().metadata["state"]
        missing = [name for name in names if name not in saved]
        if missing:
            raise UserError(
                f"the run in {workdir} has no {' or '.join(missing)}: not the kind needed"
            )
        # As numpy arrays: as JAX's they would want the very devices that they were saved from.
        abstract = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), saved)
        state = checkpointer.load_checkpointables(None, {"state": abstract})["state"]
    return {name: state[name] for name in names}
