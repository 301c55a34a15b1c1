"""Lets one run at a time into a workdir; a run that died never blocks the next.

On a local file system the kernel holds the lock and drops it with the process, however that ends;
hosts that share the file system over NFSv4 see it too. Where there are no such locks (an object
store, some cluster file systems) there is a lease instead: a file that says who holds it since
when, renewed every 15 seconds, and stale when it is a minute old or its process is dead.

If several processes find no lease, or the same stale one, one of them takes it, without waiting. In
an object store, a write succeeds only if the generation is still the one that was read. On a file
system, a lease is created exclusively, and so is the file that replaces a stale one. A renewal
changes only the lease that this process took: it neither changes another's nor creates one.

A lease is still weaker than a lock. The clocks of different hosts have to agree to some seconds. A
process that was suspended for more than a minute may find its workdir taken. And on a file system,
if a process died just while it replaced a stale lease, two that start at the same later moment may
both replace it. `Hold.check` raises in a process that has lost its lease; it is called before every
checkpoint.
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

_held: set[tuple[int, str]] = set()  # (process id, path), so that a forked child holds nothing


class Hold:
    """A workdir that this process keeps other runs out of."""

    def check(self) -> None:
        """Raises UserError if another run has taken the workdir; only a lease can be lost."""


@contextlib.contextmanager
def hold(workdir: epath.PathLike) -> Iterator[Hold]:
    """Keeps other runs out of `workdir`, which is made where it is missing, until the block ends.

    In a run of several processes only the first one calls this. Nothing else in the process may
    open the file `run.lock`: closing it would drop the lock.

    Raises:
      UserError: another run, or this process itself, is at work there.
      OSError: the place cannot be written to.
    """
    workdir = epath.Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    path = workdir / LOCK_FILE
    key = os.getpid(), os.path.realpath(path) if is_local(path) else os.fspath(path)
    # Checked first, because opening and closing the file for a second time would drop the lock.
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
            # A record lock: children do not inherit it, so a child that outlives the run has none.
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
        # In whole seconds, so that a record keeps its length: `_File.renew` writes it in place.
        return self._record | {"renewed": int(time.time())}

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            # An error of the store or the network may be gone at the next renewal. If the lease is
            # lost by then, `check` will notice.
            with contextlib.suppress(Exception):
                found, seen = self._file.read()
                if self._is_ours(found):
                    self._file.renew(self._now(), seen)


class _Object:
    """A lease in an object store, which writes or deletes only the generation that was read."""

    def __init__(self, path: epath.Path) -> None:
        import tensorstore  # present, because checkpoints are written with it

        self._path = path
        # Some characters have a meaning in URLs and have to be escaped.
        url = urllib.parse.quote(os.fspath(path), safe=":/")
        self._store = tensorstore.KvStore.open(url).result()

    def read(self) -> tuple[dict, bytes]:
        """(the holder's record, or {} without a holder; the generation that was read)."""
        found = self._store.read("").result(timeout=STALE_SECONDS)
        return _parse(found.value), found.stamp.generation

    def take(self, record: dict, seen: bytes) -> bool:
        """Writes `record` if `seen` is still the generation; whether `record` is the lease now."""
        try:
            self._write(json.dumps(record), seen)
        except ValueError as error:  # folders of a store need not be created, but buckets do
            if "NOT_FOUND" not in str(error):
                raise
            place = self._path.parent
            raise UserError(f"{place} cannot be written to: no such bucket") from None
        # Read back, because the write's answer may mislead: if a first answer is lost, the request
        # is sent again, and is refused because the first one had succeeded.
        return self.read()[0].get("token") == record["token"]

    def renew(self, record: dict, seen: bytes) -> None:
        """Writes `record` if `seen` is still the generation."""
        self._write(json.dumps(record), seen)

    def drop(self, seen: bytes) -> None:
        """Deletes the lease if `seen` is still the generation."""
        self._write(None, seen)

    def _write(self, value: str | None, seen: bytes) -> None:
        self._store.write("", value, if_equal=seen).result(timeout=STALE_SECONDS)


class _File:
    """A lease on a file system, which can create a file exclusively and rename one atomically."""

    def __init__(self, path: epath.Path) -> None:
        self._path = path

    def read(self) -> tuple[dict, bytes | None]:
        """(the holder's record, or {} without a holder; the content that was read, or None)."""
        try:
            with open(self._path, "rb") as file:
                seen = file.read()
                changed = os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return {}, None
        # A lease that is just being written cannot be parsed, but has the file's time.
        return {"renewed": changed} | _parse(seen), seen

    def take(self, record: dict, seen: bytes | None) -> bool:
        """Writes `record` if `seen` is still the content; whether `record` is the lease now."""
        heir = partial_name(self._path, "heir")
        try:
            if seen is None:
                create(self._path, json.dumps(record))
                return True
            # To replace a stale lease, a process creates a second file, the heir, and renames it.
            # Only one at a time can create it; that one reads the lease again before it renames.
            create(heir, json.dumps(record))
        except FileExistsError:
            return seen is not None and self._died(heir) and self.take(record, seen)
        if self.read()[1] == seen:
            # The heir is gone if this process was suspended and another took it for dead.
            with contextlib.suppress(FileNotFoundError):
                os.replace(heir, self._path)
        else:
            heir.unlink(missing_ok=True)
        return self.read()[0].get("token") == record["token"]

    def _died(self, heir: epath.Path) -> bool:
        """Whether `heir` is left from a process that died before the rename; removes it then."""
        with contextlib.suppress(FileNotFoundError):
            if time.time() - os.stat(heir).st_mtime <= STALE_SECONDS:
                return False
            heir.unlink()
            return True
        return False

    def renew(self, record: dict, seen: bytes) -> None:
        """Writes `record` if `seen` is still the content."""
        # In place: if another process takes the lease meanwhile, it puts another file at the path,
        # and this write goes to the old one.
        with open(self._path, "r+b") as file:
            if file.read() == seen:
                file.seek(0)
                file.write(json.dumps(record).encode())

    def drop(self, seen: bytes) -> None:
        """Deletes the lease if `seen` is still the content."""
        if self.read()[1] == seen:
            self._path.unlink(missing_ok=True)


def _this_process() -> dict:
    since = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": since}


def _parse(data: bytes) -> dict:
    """The holder's record in the content of a lock or lease; {} if there is none."""
    try:
        record = json.loads(data)
    except ValueError:  # nothing, or in the middle of being written
        return {}
    return record if isinstance(record, dict) else {}


def _is_alive(record: dict) -> bool:
    """Whether the process that holds a lease may still be running."""
    if time.time() - record.get("renewed", 0.0) > STALE_SECONDS:
        return False
    if record.get("host") != socket.gethostname():
        return True
    # In containers a process often has the number of its predecessor. If the lease has the number
    # of this process, it is a dead predecessor's: this process itself does not hold the lease.
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
