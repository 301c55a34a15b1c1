"""Entering the folder of a run: one run at a time, one config, the same folder in all processes."""

import contextlib
import time
import uuid
from collections.abc import Iterator

from etils import epath
from ml_collections import ConfigDict

from genjax import config as config_lib
from genjax.devices import processes
from genjax.errors import UserError
from genjax.workdir import lock
from genjax.workdir.checkpoint import saved_steps

SHARING_SECONDS = 20  # network file systems take a while to show a new file


@contextlib.contextmanager
def enter_workdir(config: ConfigDict, workdir: epath.Path) -> Iterator[lock.Hold]:
    """Keeps other runs out of `workdir` until the block ends, and saves `config` there.

    Raises:
      UserError: another run is at work there; it has checkpoints of a run with another config; or
        the processes of this run do not see the same folder.
    """
    first = processes.is_first()
    guard = lock.hold(workdir) if first else contextlib.nullcontext(lock.Hold())
    with guard as held:
        if saved_steps(workdir):
            config_lib.check_same(config, workdir)
        if first:
            config_lib.save(config, workdir)
        if processes.count() > 1:
            _check_shared(workdir)
        yield held


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
