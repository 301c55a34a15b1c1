"""One run at a time in a workdir, and a dead one never in the way.

On a local file system the kernel holds the lock and drops it with the process, however that ends;
hosts that share the file system over NFSv4 see it too. Where there are no such locks (an object
store, some cluster file systems) there is a lease instead: a file that says who and when, renewed
every 15 seconds, and void when it is a minute old or its process is dead.

Of several that find no lease, or the same void one, one takes it, without a wait: an object store
writes only over the generation that was seen; on a file system a lease is made exclusively, and so
is the file that replaces a void one. A renewal changes the lease that was taken, never another's,
and makes none anew.

A lease is still weaker than a lock. Clocks of different hosts have to agree to some seconds. A
process that slept for more than a minute may find its workdir taken; and on a file system, if one
died in the very moment of replacing a void lease, two that start at the same later moment may both
replace it. `Hold.check` tells whoever has lost its lease, and comes before every checkpoint.
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
import urllib.parse
import uuid
from collections.abc import Iterator
from typing import Self

from etils import epath

from genjax.errors import UserError
from genjax.files import create, is_local, partial_name

LOCK_FILE = "run.lock"
LEASE_FILE = "run.lease"
RENEW_SECONDS = 15.0
STALE_SECONDS = 60.0

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
            lease = _Lease(workdir / LEASE_FILE)
            try:
                held = stack.enter_context(_Lock(path) if is_local(path) else lease)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                held = stack.enter_context(lease)
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
                holder = _parse(self._path.read_bytes())
                raise UserError(_in_use(self._path.parent, holder)) from None
            error.filename = os.fspath(self._path)
            raise
        return self

    def __exit__(self, *_) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


class _Lease(Hold):
    def __init__(self, path: epath.Path) -> None:
        self._workdir = path.parent
        self._file = (_File if is_local(path) else _Object)(path)
        self._record = _this_process() | {"token": uuid.uuid4().hex}
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Self:
        found, seen = self._file.read()
        if _is_alive(found) or not self._file.take(self._now(), seen):
            found, _ = self._file.read()
            raise UserError(
                f"{_in_use(self._workdir, found)} (if that process is dead, its hold ends "
                f"within {STALE_SECONDS:.0f} s)"
            )
        self._renewing.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._renewing.join()
        found, seen = self._file.read()
        if self._is_ours(found):
            self._file.drop(seen)

    def check(self) -> None:
        found, _ = self._file.read()
        if not self._is_ours(found):
            raise UserError(_in_use(self._workdir, found))

    def _is_ours(self, found: dict) -> bool:
        return found.get("token") == self._record["token"]

    def _now(self) -> dict:
        # In whole seconds a record keeps its length, which `_File.renew` needs.
        return self._record | {"renewed": int(time.time())}

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            # Whatever the store or the network says, it may be back at the next turn; what came of
            # it in between, `check` finds out.
            with contextlib.suppress(Exception):
                found, seen = self._file.read()
                if self._is_ours(found):
                    self._file.renew(self._now(), seen)


class _Object:
    """A lease in an object store, which compares generations before it writes or deletes."""

    def __init__(self, path: epath.Path) -> None:
        import tensorstore  # which checkpoints are written with too

        self._path = path
        # A URL's path has its own meaning for some characters.
        url = urllib.parse.quote(os.fspath(path), safe=":/")
        self._store = tensorstore.KvStore.open(url).result()

    def read(self) -> tuple[dict, bytes]:
        """Who holds the lease, {} for nobody; and the generation that says so."""
        found = self._store.read("").result(timeout=STALE_SECONDS)
        return _parse(found.value), found.stamp.generation

    def take(self, record: dict, seen: bytes) -> bool:
        """Puts `record` where `seen` was read, unless another came first; whether it did."""
        try:
            self._write(json.dumps(record), seen)
        except ValueError as error:  # folders of a store need not be made, but buckets do
            if "NOT_FOUND" not in str(error):
                raise
            place = self._path.parent
            raise UserError(f"{place} cannot be written to: no such bucket") from None
        # A request that is sent once more, as its answer was lost, is refused for its own success.
        return self.read()[0].get("token") == record["token"]

    def renew(self, record: dict, seen: bytes) -> None:
        """Writes `record` over what was `seen`, or nothing if that is no longer there."""
        self._write(json.dumps(record), seen)

    def drop(self, seen: bytes) -> None:
        """Deletes what was `seen`, or nothing if that is no longer there."""
        self._write(None, seen)

    def _write(self, value: str | None, seen: bytes) -> None:
        self._store.write("", value, if_equal=seen).result(timeout=STALE_SECONDS)


class _File:
    """A lease on a file system, which can make a file exclusively and rename one atomically."""

    def __init__(self, path: epath.Path) -> None:
        self._path = path

    def read(self) -> tuple[dict, bytes | None]:
        """Who holds the lease, {} for nobody; and the content that says so."""
        try:
            with open(self._path, "rb") as file:
                seen = file.read()
                changed = os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return {}, None
        return {"renewed": changed} | _parse(seen), seen  # it may be just being written

    def take(self, record: dict, seen: bytes | None) -> bool:
        """Puts `record` where `seen` was read, unless another came first; whether it did."""
        heir = partial_name(self._path, "heir")
        try:
            if seen is None:
                create(self._path, json.dumps(record))
                return True
            # One at a time comes to replace a lease, and it looks again.
            create(heir, json.dumps(record))
        except FileExistsError:
            return seen is not None and self._died(heir) and self.take(record, seen)
        if self.read()[1] == seen:
            with contextlib.suppress(FileNotFoundError):  # it slept, and was taken for dead
                os.replace(heir, self._path)
        else:
            heir.unlink(missing_ok=True)
        return self.read()[0].get("token") == record["token"]

    def _died(self, heir: epath.Path) -> bool:
        """Whether an heir never came to replace the lease; it is out of the way then."""
        with contextlib.suppress(FileNotFoundError):
            if time.time() - os.stat(heir).st_mtime <= STALE_SECONDS:
                return False
            heir.unlink()
            return True
        return False

    def renew(self, record: dict, seen: bytes) -> None:
        """Writes `record` over what was `seen`, or nothing if that is no longer there."""
        # In place: who takes the lease puts another file there.
        with open(self._path, "r+b") as file:
            if file.read() == seen:
                file.seek(0)
                file.write(json.dumps(record).encode())

    def drop(self, seen: bytes) -> None:
        """Deletes what was `seen`, or nothing if that is no longer there."""
        if self.read()[1] == seen:
            self._path.unlink(missing_ok=True)


def _this_process() -> dict:
    since = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": since}


def _parse(data: bytes) -> dict:
    """Who holds a lock or a lease that says `data`; {} where it does not say."""
    try:
        record = json.loads(data)
    except ValueError:  # nothing, or in the middle of being written
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
