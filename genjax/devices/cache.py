"""JAX's compilation cache on disk: the second start of a run compiles nothing.

The cache lies in `$XDG_CACHE_HOME/genjax/jax`, or `~/.cache/genjax/jax`, with a folder for each
kind of host. XLA compiles a CPU program for the instructions of that CPU and for the number of
cores that the process may use, but JAX's cache keys contain neither. Different machines that share
a home directory must not run each other's programs.

Beside the programs lie numbers that are measured once a machine (`kept`), and arrays that take long
to compute (`kept_arrays`).

JAX's environment variables take precedence. `JAX_COMPILATION_CACHE_DIR` names another folder, from
which nothing is ever deleted. `JAX_ENABLE_COMPILATION_CACHE=false` turns the cache off.
"""

import hashlib
import io
import math
import os
import platform
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from etils import epath

from genjax.devices import host
from genjax.files import write_atomically

LIMIT_BYTES = 2 * 10**9  # of all hosts together; the programs of a run take 1 to 20 MB

_TROUBLE = "persistent compilation cache entry"  # in every warning of JAX about a cached program


def enable() -> None:
    """Makes JAX cache every program that it compiles from now on.

    If the cache cannot be used, a line on stderr says why, and the run goes on without it.
    """
    for name, value in (
        ("jax_persistent_cache_min_compile_time_secs", 0),  # many small programs add up
        ("jax_persistent_cache_min_entry_size_bytes", -1),
    ):
        if name.upper() not in os.environ:
            jax.config.update(name, value)
    if not jax.config.jax_enable_compilation_cache:
        return
    if jax.config.jax_compilation_cache_dir is None:
        try:
            folder = prepare(place())
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no home directory
            _say(f"no compilation cache ({error}): every start compiles anew")
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
        warnings.showwarning = _ClearBrokenCache(folder)


def place() -> Path:
    """The cache folder of all hosts. It may be deleted at any time."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "genjax" / "jax"


def kept(name: str, measure: Callable[[], float]) -> float:
    """A positive number that `measure` found earlier on this kind of host, or finds now.

    It lies in the folder of the compiled programs, and is measured each time where there is none.

    Args:
      name: of the file; what the number depends on besides the host.
    """

    def read(content: bytes) -> float:
        value = float(content)
        if not 0 < value < math.inf:
            raise ValueError(value)
        return value

    return _kept(f"{name}-{_host()}.txt", measure, read, lambda value: f"{value}\n".encode())


def kept_arrays(name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays that `make` computed earlier on this kind of host, or computes now.

    They lie beside the numbers of `kept`, under the same conditions.

    Args:
      name: what the arrays depend on besides the host.
    """

    def read(content: bytes) -> dict[str, np.ndarray]:
        with np.load(io.BytesIO(content)) as file:
            return dict(file)

    def write(arrays: dict[str, np.ndarray]) -> bytes:
        content = io.BytesIO()
        np.savez(content, **arrays)
        return content.getvalue()

    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return _kept(f"arrays-{digest}-{_host()}.npz", make, read, write)


def _kept(file: str, make: Callable, read: Callable, write: Callable):
    """What `file` in the cache's folder holds; where it is not there or damaged, what `make` finds,
    which then lies there. A folder of the user's may serve any host, so names say which."""
    folder = jax.config.jax_compilation_cache_dir
    if not (folder and jax.config.jax_enable_compilation_cache):
        return make()
    path = epath.Path(folder) / file
    try:
        return read(path.read_bytes())
    except (OSError, EOFError, ValueError, zipfile.BadZipFile):
        found = make()
    try:
        write_atomically(path, write(found))
    except OSError as error:
        _say(f"{path.name} is computed at every start ({error})")
    return found


def prepare(root: Path) -> Path:
    """Makes the folder below `root` for programs that this process can run, and returns it.

    Prunes `root` to `LIMIT_BYTES` first.
    """
    folder = root / _host()
    folder.mkdir(parents=True, exist_ok=True)
    _prune(root, LIMIT_BYTES)
    return folder


def _host() -> str:
    """A folder name; hosts and processes that can run the same programs have the same."""
    fields = ("model name", "flags", "Features")
    about = sorted({line for line in host.cpuinfo() if line.startswith(fields)})
    about = about or [platform.processor()]
    digest = hashlib.sha256("\n".join(about).encode()).hexdigest()[:12]
    return f"{platform.system()}-{platform.machine()}-{digest}-{host.cores()}-cores".lower()


def _prune(folder: Path, limit: int) -> None:
    """Deletes the least recently used files until `limit` bytes are left, and all empty files.

    Other processes may delete or read at the same time: a missing program is compiled again.
    """
    found = []
    for path in folder.rglob("*"):
        try:
            about = path.stat()
        except FileNotFoundError:
            continue
        if path.is_file():
            # Many file systems update the access time only once a day, some never.
            found.append((max(about.st_atime, about.st_mtime), about.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total > limit or not size:
            path.unlink(missing_ok=True)
            total -= size


class _ClearBrokenCache:
    """`warnings.showwarning`, except that JAX's warning of a broken program clears the cache.

    JAX warns when it cannot read or write a cached program, but never replaces one. A program cut
    short by a full disk or a power cut would cause the warning at every start, for ever.
    """

    def __init__(self, folder: Path):
        self._folder, self._show, self._told = folder, warnings.showwarning, False

    def __call__(self, message, *others, **more):
        if _TROUBLE not in str(message):
            self._show(message, *others, **more)
            return
        done = "deleted all that were there"
        try:
            _prune(self._folder, limit=-1)
        except OSError as error:
            done = f"they cannot be deleted either ({error})"
        if not self._told:
            _say(f"compiled programs in {self._folder}: {' '.join(str(message).split())}; {done}")
        self._told = True


def _say(line: str) -> None:
    print(line, file=sys.stderr)
