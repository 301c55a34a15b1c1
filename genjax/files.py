"""Writing files so that no reader, crash or full disk leads to half of one.

A workdir is a local folder or a place in an object store (`gs://…`), where an object appears at
once and complete, and can be neither appended to nor renamed cheaply.
"""

import contextlib
import errno
import os
import re
import time
from collections.abc import Iterable, Iterator

from etils import epath

from genjax.errors import UserError

REMOTE_SECONDS = 15.0  # between uploads of a growing object; stores refuse more than one a second


def is_local(path: epath.PathLike) -> bool:
    """Whether `path` lies in a file system of this machine, not behind a `scheme://`."""
    return "://" not in os.fspath(path)


def expanded(name: str) -> str:
    """`name` with a leading `~` or `~user` as the home folder; every path that users name.

    A shell leaves `~` as it is after an equals sign or a colon.

    Raises:
      UserError: there is no such user.
    """
    full = os.path.expanduser(name)
    if full.startswith("~"):
        user = name.partition("/")[0]
        raise UserError(f"{name}: {user} is nobody's home folder; a file of that name is ./{name}")
    return full


def shown(path: str | os.PathLike) -> str:
    """A file's name in a message: what cannot be printed, or would break the line, is escaped."""
    text = os.fspath(path)
    return text if text.isprintable() else ascii(text)


def natural_order(path: epath.PathLike) -> tuple:
    """A sort key of paths: folder by folder, numbers as numbers (img2 before img10).

    A name comes before the same name with more behind it, whatever its suffix: img.png, img2.png.
    """
    text = os.fspath(path)
    stem, suffix = os.path.splitext(text)
    # Every second piece is digits, so that numbers are only ever compared to numbers.
    pieces = [re.split(r"(\d+)", part) for part in (*stem.split("/"), suffix)]
    return [[int(x) if i % 2 else x for i, x in enumerate(part)] for part in pieces], text


def place(name: str) -> epath.Path:
    """The folder, local or remote, that the user named.

    Raises:
      UserError: its scheme is unknown, or what it needs is not installed.
    """
    try:
        path = epath.Path(expanded(name))
        path.exists()
    except KeyError:
        raise UserError(
            f"{name} is no place that can be written to: use a folder or gs://…"
        ) from None
    except ImportError as error:
        raise UserError(f'{name}: {error}; for gs:// that is pip install -e ".[gcs]"') from None
    return path


def check_not_over(targets: Iterable[epath.PathLike], sources: Iterable[str], output: str) -> None:
    """Raises UserError if one of the files written for `--output` is one of those that are read."""
    read = {os.path.realpath(path): path for path in sources}
    for path in map(os.path.realpath, targets):
        if path in read:
            raise UserError(f"--output={output} would overwrite {shown(read[path])}: name another")


def absolute(path: epath.PathLike) -> epath.Path:
    """`path` as an absolute path; a remote one is absolute already."""
    path = epath.Path(path)
    return path.resolve() if is_local(path) else path


def write_atomically(path: epath.PathLike, content: str | bytes) -> None:
    """Writes `content` so that a reader sees the old file or the new one, never half of it.

    When it returns, a local file would survive a power cut.

    Raises:
      OSError: the place cannot be written to; the old file is as it was, and nothing is left over.
    """
    path = epath.Path(path)
    data = content.encode() if isinstance(content, str) else content
    if not is_local(path):
        path.write_bytes(data)
        return
    partial = partial_name(path)
    with _naming(path):
        try:
            with open(partial, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # or a power cut may keep only the rename
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        _sync(path.parent)


def create(path: epath.PathLike, content: str) -> None:
    """Creates the local file at `path`; of several processes at once, only one succeeds.

    Readers may see half of it.

    Raises:
      FileExistsError: it is there already.
      OSError: the place cannot be written to; nothing is left over.
    """
    path = epath.Path(path)
    with _naming(path), open(path, "xb") as file:
        try:
            file.write(content.encode())
            file.flush()
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def partial_name(path: epath.Path, process: int | str | None = None) -> epath.Path:
    """The temporary name of `path` while this process (or `process`; "*" for any) writes it."""
    return path.parent / f".{path.name}.{process or os.getpid()}.partial"


def growing(path: epath.PathLike) -> "GrowingFile | GrowingObject":
    """The existing file at `path`, local or remote, for appending."""
    path = epath.Path(path)
    return GrowingFile(path) if is_local(path) else GrowingObject(path)


def append_durably(path: epath.PathLike, text: str) -> None:
    """Appends all of `text` to the file at `path`, or nothing; makes the file where it is missing.

    Raises:
      OSError: the disk is full, or the file cannot be written to.
    """
    path = epath.Path(path)
    if not path.exists():
        write_atomically(path, text)
        return
    file = growing(path)
    file.append(text.encode())
    file.flush()


class GrowingFile:
    """A local file that is appended to. Readers see an entry at once."""

    def __init__(self, path: epath.Path) -> None:
        self.path = path

    def append(self, data: bytes) -> None:
        """Appends all of `data` or, where that fails, nothing.

        Raises:
          OSError: the disk is full, or the file cannot be written to.
        """
        rest = memoryview(data)
        # Opened and closed each time, so that other hosts see the entry too. Unbuffered, so that it
        # is known how much the system has written.
        with _naming(self.path), open(self.path, "ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            finally:
                if rest:
                    file.truncate(size)

    def flush(self) -> None:
        """Returns once all that was appended would survive a power cut."""
        with _naming(self.path):
            _sync(self.path)


class GrowingObject:
    """A remote object that is appended to: uploaded as a whole, by `append` at most every 15 s."""

    def __init__(self, path: epath.Path) -> None:
        self.path = path
        self._content = bytearray(path.read_bytes())
        self._dirty = False
        self._written_at = time.monotonic()

    def append(self, data: bytes) -> None:
        """Adds `data` to the next upload, and uploads if the last one is 15 seconds ago."""
        self._content += data
        self._dirty = True
        if time.monotonic() - self._written_at >= REMOTE_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Returns once all that was appended is in the store."""
        if self._dirty:
            self.path.write_bytes(bytes(self._content))
            self._dirty = False
            self._written_at = time.monotonic()


def _sync(path: epath.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot, for folders
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _naming(path: epath.Path) -> Iterator[None]:
    """Puts the file's name into an OSError, which has none when a write fails."""
    try:
        yield
    except OSError as error:
        error.filename = os.fspath(path)
        raise
