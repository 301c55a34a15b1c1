"""The folder of a run: one run's at a time, of one config, seen by all of its processes."""

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
    """Keeps other runs out of `workdir` until the block ends; `config.json` there is `config`.

    Raises:
      UserError: another run is at work there, or was, with another config; or the processes of
        this run are not in the same folder.
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
    """Process 0 leaves a file of a name that nobody could know; all have to see it."""
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
