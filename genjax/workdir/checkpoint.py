"""Checkpoints: asynchronous, through Orbax's v1 API; the newest few and the best are kept.

A checkpoint has the task's state and the loop's progress (JSON). It becomes visible by one rename
when it is complete, so a run killed while it saves leaves the previous one as the newest.

Disks can return wrong data without an error. So every checkpoint carries, in JSON "notes", a
fingerprint of each array and a "seal", a checksum of the notes. A checkpoint that does not match
them is damaged and never used: a run goes on from the newest whole one, and says which are damaged.
Damaged checkpoints are moved to another folder, never deleted.
"""

import contextlib
import dataclasses
import json
import logging
import math
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np
from etils import epath
from orbax.checkpoint import v1 as ocp

from genjax.devices import processes
from genjax.errors import UserError, exit_code
from genjax.files import absolute, is_local
from genjax.workdir.fingerprint import fingerprints, paths

DAMAGED_FOLDER = "damaged-checkpoints"

# An error in a checkpoint is raised, and reported in one line. These three report it as well, and
# are silenced: Orbax in forty lines, asyncio for the other reads that the error cancels, and Python
# for the writes that it cancels.
logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)
logging.getLogger("asyncio").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)


@dataclasses.dataclass
class Restored:
    """The contents of a checkpoint, and its step."""

    step: int
    state: Any
    progress: dict[str, Any]


class Checkpoints:
    """The checkpoints of one workdir, for the run that trains there.

    Args:
      workdir: its folder `checkpoints` is made when the first checkpoint is saved.
      keep: how many of the newest are kept.
      best: the evaluation metric whose best checkpoint is kept as well; "" for none.
      best_mode: "max" or "min": which value of the metric is the best.
      made_by: {name: version or machine} of what computes, for the notes.
    """

    def __init__(
        self,
        workdir: epath.Path,
        keep: int = 3,
        best: str = "",
        best_mode: str = "max",
        made_by: Mapping[str, str] | None = None,
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
        self._workdir, self._policy = epath.Path(workdir), policies.AnyPreservationPolicy(kept)
        self._best, self._best_mode = best, best_mode
        self._made_by = dict(made_by or {})

    @cached_property
    def _checkpointer(self) -> ocp.training.Checkpointer:
        # Opened on first use, when `restore` has moved damaged checkpoints away: opening reads the
        # notes of every checkpoint, and fails if some are damaged.
        return ocp.training.Checkpointer(
            _folder(self._workdir),
            preservation_policy=self._policy,
            cleanup_tmp_directories=True,
        )

    def restore(self, abstract: Callable, tell: Callable[[str], None]) -> Restored | None:
        """The newest whole checkpoint, or None if none was ever saved.

        All processes of a run get the same one. Checkpoints that cannot be read, or hold something
        else than was saved, are moved to `DAMAGED_FOLDER`, and `tell` is told which and why.

        Args:
          abstract: `(step) -> ` shapes, types and shardings of the state after so many steps.
          tell: called with each line that people should read.

        Raises:
          UserError: there are checkpoints, and all are damaged, or the last whole one is of a state
            with other arrays, which another version made.
        """
        steps = saved_steps(self._workdir)
        found, damaged = _newest_whole(self._workdir, steps, abstract)
        for step in steps:
            if step < found.step:  # `_newest_whole` has checked the newer ones
                reason = _agree(lambda step=step: _read_notes(self._workdir, step))[1]
                damaged |= {step: reason} if reason else {}
        for step, reason in damaged.items():
            tell(
                f"warning: checkpoint {step} is damaged ({reason}): set aside in "
                f"{self._workdir / DAMAGED_FOLDER}, and checkpoint {found.step} used"
            )
        if damaged and processes.is_first():
            _set_aside(self._workdir, damaged)
        processes.exchange("set aside")
        return found

    def save(self, step: int, state, progress: dict[str, Any], metrics: dict[str, float]):
        """Waits for the previous checkpoint, copies `state`, and starts to write this one.

        `metrics` are those of the evaluation at this step, if there was one.
        """
        self._checkpointer.wait()
        value = metrics.get(self._best, math.nan)
        scored = {self._best: value} if math.isfinite(value) else None
        notes = {
            "progress": progress,
            "metrics": scored,
            "arrays": fingerprints(state),
            "made_by": self._made_by,  # nothing here reads it: it is for `compare`
        }
        self._checkpointer.save_checkpointables_async(
            step,
            {"state": _filled(state)},
            force=True,
            metrics=scored,
            custom_metadata=notes | {"seal": _seal(notes)},
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

    def wait(self):
        """Waits until everything is written."""
        self._checkpointer.wait()

    def close(self):
        """Waits until everything is written, and closes the folder."""
        if "_checkpointer" in self.__dict__:
            self._checkpointer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def restore(
    workdir: epath.Path, steps: Sequence[int], abstract: Callable, tell: Callable[[str], None]
) -> Restored | None:
    """The last whole one of a run's checkpoints of `steps`, or None if there are no steps.

    Damaged ones are reported, but not moved.

    Raises:
      UserError: there are steps, and the checkpoints of all are damaged, or the last whole one is
        of a state with other arrays, which another version made.
    """
    found, damaged = _newest_whole(workdir, steps, abstract)
    for step, reason in damaged.items():
        tell(f"warning: checkpoint {step} is damaged ({reason}): checkpoint {found.step} used")
    return found


def restore_arrays(
    workdir: epath.Path, steps: Sequence[int], names: Sequence[str], others: Sequence[str] = ()
) -> dict[str, Any]:
    """The named parts of the state that `restore` would choose, as nested dicts of numpy arrays.

    For using a run's network in another task, which need not know the class of the run's state.

    Raises:
      UserError: there is no whole checkpoint, or its state lacks one of `names`; of `others`, {}.
    """
    found, _ = _newest_whole(epath.Path(workdir), steps, None)
    if found is None:
        raise UserError(f"{workdir} has no checkpoints: train a run there first")
    missing = [name for name in names if name not in found.state]
    if missing:
        raise UserError(f"the run in {workdir} has no {' or '.join(missing)}: not the kind needed")
    return {name: found.state.get(name, {}) for name in (*names, *others)}


def read_notes(workdir: epath.Path, step: int) -> dict[str, Any]:
    """The notes of a checkpoint; no array is read.

    "arrays" is {path: fingerprint, 32 bits}; "made_by" is {name: version or machine}, which older
    checkpoints do not have.

    Raises:
      UserError: the notes are damaged.
    """
    try:
        return _read_notes(workdir, step)
    except _DamagedError as error:
        raise UserError(
            f"checkpoint {step} in {_folder(workdir)} is damaged ({error}): move it elsewhere"
        ) from None


class _DamagedError(Exception):
    """A checkpoint is not what was saved; the message says why."""


def _newest_whole(
    workdir: epath.Path, steps: Sequence[int], abstract: Callable | None
) -> tuple[Restored | None, dict]:
    """The newest whole checkpoint, and {step: reason} of the damaged ones that are newer.

    Args:
      steps: of the checkpoints to choose from, oldest first.
      abstract: as of `Checkpoints.restore`; None restores to nested dicts of numpy arrays.

    Raises:
      UserError: all checkpoints are damaged; or one is whole, and its state has other arrays than
        `abstract`.
    """
    damaged = {}
    for step in reversed(steps):
        loaded, reason = _agree(partial(_load, workdir, step, abstract and abstract(step)))
        if not reason:
            state, notes = loaded
            _, reason = _agree(partial(_verify, state, notes["arrays"]))
        if not reason:
            return Restored(step, state, notes["progress"]), damaged
        damaged[step] = reason
        loaded = state = None  # makes room in memory for the next one
    if damaged:
        listed = "; ".join(f"{step} ({reason})" for step, reason in damaged.items())
        raise UserError(
            f"no checkpoint in {_folder(workdir)} can be used: {listed}; bring one back from a "
            "copy, or choose another --workdir to start afresh"
        )
    return None, {}


def _agree(attempt: Callable) -> tuple[Any, str]:
    """(what `attempt` returns here, why it failed in the first process where it did or "")."""
    result, reason = None, ""
    try:
        result = attempt()
    except _DamagedError as error:
        reason = str(error)
    return result, next(filter(None, processes.exchange(reason)), "")


def _load(workdir: epath.Path, step: int, abstract_state) -> tuple[Any, dict]:
    """Reads state and notes of a checkpoint, without waiting for other processes."""
    notes, path = _read_notes(workdir, step), _folder(workdir) / str(step)
    if abstract_state is not None:
        _check_form(path, notes, paths(abstract_state))
    with _reading():
        if abstract_state is None:
            # As numpy arrays: JAX's would be restored to the devices that they were saved from.
            saved = ocp.checkpointables_metadata(path).metadata["state"]
            abstract_state = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), saved)
        filled = _filled(abstract_state)
        loaded = ocp.load_checkpointables(path, {"state": filled})["state"]
    if filled is not abstract_state:
        loaded = dataclasses.replace(abstract_state, **loaded)
    return loaded, notes


def _filled(state):
    """{name: value} of a state's fields but those with a default that hold no arrays; or itself.

    So that a checkpoint with nothing in a field that came later, such as a GAN that remembers
    nothing, has the form of those from before there was one.
    """
    if not dataclasses.is_dataclass(state):
        return state
    no = dataclasses.MISSING
    later = {x.name for x in dataclasses.fields(state) if x.default_factory is not no}
    fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    filled = {k: x for k, x in fields.items() if k not in later or jax.tree.leaves(x)}
    return state if len(filled) == len(fields) else filled


def _check_form(path: epath.Path, notes: dict, wanted: list[str]) -> None:
    if different := set(wanted).symmetric_difference(notes["arrays"]):
        made_by = notes.get("made_by", {}).get("genjax", "an older one")
        raise UserError(
            f"{path} was made by another version of genjax ({made_by}), whose state has other "
            f"arrays ({min(different)}): finish the run with that version, or choose another "
            "--workdir to start afresh"
        )


def _read_notes(workdir: epath.Path, step: int) -> dict:
    """The notes of a checkpoint: "progress", "metrics", "arrays" and whatever else was saved.

    Raises:
      _DamagedError: the notes do not match their seal, or Orbax's copy of the metrics.
    """
    path = _folder(workdir) / str(step)
    with _reading():
        notes = dict(ocp.checkpointables_metadata(path).custom_metadata)
        scores = path / "metrics" / "metrics"
        metrics = json.loads(scores.read_text()) if scores.exists() else None
    if notes.pop("seal", None) != _seal(notes):
        raise _DamagedError("its notes are not what was saved")
    if metrics != notes["metrics"]:
        raise _DamagedError("its metrics are not what was saved")
    return notes


def _verify(state, expected: dict[str, int]) -> None:
    found = fingerprints(state)
    different = [path for path in found if found[path] != expected.get(path)]
    if different:
        raise _DamagedError(
            f"{len(different)} of {len(found)} arrays are not what was saved: {different[0]} …"
        )


@contextlib.contextmanager
def _reading():
    """A context in which Orbax reads for this process alone, and errors become `_DamagedError`.

    Orbax's barriers between processes are off, because other processes may have failed already.

    Raises:
      _DamagedError: for any error that is not the user's to mend (`errors.exit_code`).
    """
    context = ocp.Context()
    context.multiprocessing.primary_host = processes.index()
    context.multiprocessing.active_processes = {processes.index()}
    try:
        with context:
            yield
    except Exception as error:  # Orbax and TensorStore raise nearly everything
        if exit_code(error) is not None:
            raise  # full memory, a folder that may not be read: not the file's fault
        while error.__cause__ or error.__context__:
            error = error.__cause__ or error.__context__
        text = " ".join(str(error).partition("[tensorstore_spec")[0].split())
        short = text if len(text) < 200 else f"{text[:40]} … {text[-150:]}"
        raise _DamagedError(short or type(error).__name__) from error


def _seal(notes: dict) -> int:
    return zlib.crc32(json.dumps(notes, sort_keys=True).encode())


def _folder(workdir: epath.Path) -> epath.Path:
    return absolute(epath.Path(workdir) / "checkpoints")


def saved_steps(workdir: epath.Path) -> list[int]:
    """The steps of the complete checkpoints, oldest first; damaged ones are not told apart."""
    folder = _folder(workdir)
    if not folder.exists():
        return []
    # Orbax renames a folder when it is complete; in an object store this file says so.
    return sorted(
        int(path.name)
        for path in folder.iterdir()
        if path.name.isdigit() and (is_local(path) or (path / "commit_success.txt").exists())
    )


def _set_aside(workdir: epath.Path, damaged) -> None:
    folder = epath.Path(workdir) / DAMAGED_FOLDER
    folder.mkdir(exist_ok=True)
    for step in damaged:
        name, number = str(step), 1
        while (folder / name).exists():
            number += 1
            name = f"{step}-{number}"
        (_folder(workdir) / str(step)).rename(folder / name)
