"""Entering the folder of a run: one run at a time, one config, the same folder in all processes."""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from genjax.data import Dataset
from genjax.devices import processes
from genjax.errors import UserError
from genjax.workdir import config_file, known_data, known_task, lock
from genjax.workdir.checkpoint import saved_steps

SHARING_SECONDS = 20  # network file systems take a while to show a new file


@contextlib.contextmanager
def enter_workdir(
    config: ConfigDict,
    dataset: Dataset | None,
    known: Mapping[str, Any],
    workdir: epath.Path,
    say: Callable[[str], None],
) -> Iterator[lock.Hold]:
    """Keeps other runs out of `workdir` until the block ends; saves there what the run is of.

    That is `config.json`, `data.json` and, of `Task.known`, `task.json`. Where a run goes on with
    other values, `say` is called with a line, and they are added to the history in `config.json`.

    Raises:
      UserError: another run is at work there; it has checkpoints of a run with another config or
        other data; or the processes of this run do not see the same folder.
    """
    first = processes.is_first()
    guard = lock.hold(workdir) if first else contextlib.nullcontext(lock.Hold())
    with guard as held:
        history = _history(config, dataset, workdir, say)
        if first:
            config_file.save(config, workdir, history)
            if dataset:
                known_data.save(dataset, workdir)
            if known:
                known_task.save(known, workdir)
        if processes.count() > 1:
            _check_shared(workdir)
        yield held


def _history(config, dataset: Dataset | None, workdir: epath.Path, say) -> list[dict]:
    """The history of the run in `workdir`, with what this start changes; empty for a new run."""
    if not (steps := saved_steps(workdir)):
        return []
    changed = config_file.changes(config, workdir)
    if dataset and (
        digests := known_data.change(dataset, workdir, config.data.changed == "accept")
    ):
        changed["data"] = digests
    before = config_file.history(workdir)
    if not changed:
        return before
    listed = ", ".join(f"{key} {new!r} (was {old!r})" for key, (old, new) in changed.items())
    say(f"from step {steps[-1]:,} on: {listed}; noted in the history of {workdir}/config.json")
    return [*before, {"step": steps[-1], "changed": changed}]


def _check_shared(workdir: epath.Path):
    """Checks that all processes see the same folder: a file of random name that process 0 makes."""
    token = workdir / f".shared-{processes.exchange(uuid.uuid4().hex)[0]}"
    if processes.is_first():
        token.touch()
    processes.exchange("touched")
    deadline = time.monotonic() + SHARING_SECONDS
    while not (seen := token.exists()) and time.monotonic() < deadline:
        time.sleep(0.2)
    blind = [i for i, text in enumerate(processes.exchange(str(seen))) if text != "True"]
    if processes.is_first():
        token.unlink()
    if blind:
        raise UserError(
            f"process {blind[0]} does not see what process 0 writes into {workdir}: "
            "give all a --workdir on a shared file system or in a bucket"
        )
