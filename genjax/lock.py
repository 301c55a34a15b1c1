"""One run at a time in a workdir, and a dead one never in the way.

On a local file system the kernel holds the lock and drops it with the process, however that ends;
hosts that share the file system over NFSv4 see it too. Where there are no such locks (an object
store, some cluster file systems) there is a lease instead: a file that says who and when, written
anew every 15 seconds, and void when it is a minute old or its process is dead.

The lease is weaker. Two runs that start within the same two seconds may, on a slow store, both take
it; clocks of different hosts have to agree to some seconds; and a process that slept for more than
a minute may find its workdir taken, which `Hold.check` tells it.
"""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Self

from etils import epath

from genjax.errors import UserError
from genjax.files import is_local, write_atomically

LOCK_FILE = "run.lock"
RENEW_SECONDS = 15.0
STALE_SECONDS = 60.0
SETTLE_SECONDS = 2.0  # what two that write at once need to see who came last

_BUSY = (errno.EACCES, errno.EAGAIN)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)

_held: set[tuple[int, str]] = set()  # (process, path): a forked child holds nothing


class Hold:
    """A workdir that is this process's own."""

    def check(self) -> None:
        """Raises UserError if another run has taken the workdir; only a lease can be lost."""


@contextlib.contextmanager
def hold(workdir: epath.PathLike) -> Iterator[Hold]:
    """Keeps other runs out of `workdir`, which is made where it is missing, until the block ends.

    In a run over several processes only the first one holds it. Nothing else in the process may
    open the file `run.lock`: closing it would end the lock.

    Raises:
      UserError: another run, or this process itself, is at work there.
      OSError: the place cannot be written to.
    """
    workdir = epath.Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    path = workdir / LOCK_FILE
    key = os.getpid(), os.path.realpath(path) if is_local(path) else os.fspath(path)
    # Asked first: opening and closing the file for a second time would drop the lock.
    if key in _held:
        raise UserError(_in_use(workdir, _this_process()))
    _held.add(key)
    try:
        with contextlib.ExitStack() as stack:
            try:
                held = stack.enter_context((_Lock if is_local(path) else _Lease)(path))
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                held = stack.enter_context(_Lease(path))
            yield held
    finally:
        _held.discard(key)


class _Lock(Hold):
    def __init__(self, path: epath.Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            # A record lock: children do not inherit it, so none of them outlives the run with it.
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(_this_process()).encode(), 0)
        except OSError as error:
            os.close(self._descriptor)
            if error.errno in _BUSY:
                raise UserError(_in_use(self._path.parent, _read(self._path))) from None
            error.filename = os.fspath(self._path)
            raise
        return self

    def __exit__(self, *_) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


class _Lease(Hold):
    def __init__(self, path: epath.Path) -> None:
        self._path = path
        self._record = _this_process() | {"token": uuid.uuid4().hex}
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Self:
        if _is_alive(found := _read(self._path)):
            raise UserError(
                f"{_in_use(self._path.parent, found)} (if that process is dead, its hold ends "
                f"within {STALE_SECONDS:.0f} s)"
            )
        try:
            self._write()
        except FileNotFoundError:  # folders of a store need not be made, but buckets do
            raise UserError(f"{self._path.parent} cannot be written to: no such bucket") from None
        time.sleep(SETTLE_SECONDS)
        self.check()
        self._renewing.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._renewing.join()
        if self._is_ours():
            self._path.unlink(missing_ok=True)

    def check(self) -> None:
        if not self._is_ours():
            raise UserError(_in_use(self._path.parent, _read(self._path)))

    def _is_ours(self) -> bool:
        return _read(self._path).get("token") == self._record["token"]

    def _write(self) -> None:
        record = self._record | {"renewed": time.time()}
        write_atomically(self._path, json.dumps(record))

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            # Whatever the store or the network says, it may be back at the next turn; what came of
            # it in between, `check` finds out.
            with contextlib.suppress(Exception):
                if self._is_ours():
                    self._write()


def _this_process() -> dict:
    since = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": since}


def _read(path: epath.Path) -> dict:
    """Who holds `path`; {} where nobody says so."""
    try:
        record = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):  # none, or in the middle of being written
        return {}
    return record if isinstance(record, dict) else {}


def _is_alive(record: dict) -> bool:
    """Whether the process of a lease may be at work."""
    if time.time() - record.get("renewed", 0.0) > STALE_SECONDS:
        return False
    if record.get("host") != socket.gethostname():
        return True
    # Containers often have the same number each time; this process itself is known not to hold it.
    return record.get("pid") != os.getpid() and _runs(record.get("pid"))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # there, but another user's
        return True
    return True


def _in_use(workdir: epath.Path, record: dict) -> str:
    who = "another process"
    if record.keys() >= {"host", "pid", "since"}:
        who = f"process {record['pid']} on {record['host']} since {record['since']}"
    return (
        f"{workdir} is in use by {who}: wait for it, stop it, or choose another --workdir; for one "
        "run over several processes see --coordinator"
    )
