"""The compiled programs of earlier runs, kept on disk by JAX: a second start compiles nothing.

They lie in `$XDG_CACHE_HOME/genjax/jax`, or `~/.cache/genjax/jax`, in a folder for each kind of
host: a program for a CPU uses what that CPU can and is cut for as many cores as the process may
use, of which JAX's own keys know nothing. Machines that share a home do not run each other's.

JAX's environment variables stay in charge. `JAX_COMPILATION_CACHE_DIR` names another place, which
is then the user's own: nothing there is ever deleted. `JAX_ENABLE_COMPILATION_CACHE=false` keeps
nothing.
"""

import hashlib
import os
import platform
import sys
import warnings
from pathlib import Path

import jax

LIMIT_BYTES = 2 * 10**9  # of all hosts together; the programs of a run take 1 to 20 MB

_TROUBLE = "persistent compilation cache entry"  # in all of JAX's warnings about single programs


def enable() -> None:
    """Makes JAX keep every program that it compiles, from the next one on.

    A cache that cannot be used costs time and never a run: one line on stderr says why.
    """
    for name, value in (
        ("jax_persistent_cache_min_compile_time_secs", 0),  # the many small ones add up
        ("jax_persistent_cache_min_entry_size_bytes", -1),
    ):
        if name.upper() not in os.environ:
            jax.config.update(name, value)
    if not jax.config.jax_enable_compilation_cache:
        return
    if jax.config.jax_compilation_cache_dir is None:
        try:
            folder = prepare(place())
        except (OSError, RuntimeError) as error:  # the latter: there is no home
            _say(f"no compilation cache ({error}): every start compiles anew")
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
        warnings.showwarning = _Mending(folder)


def place() -> Path:
    """The folder of all hosts' programs: to be deleted at any time."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "genjax" / "jax"


def prepare(root: Path) -> Path:
    """The folder below `root` of the programs that this process can run, made, with room in it."""
    folder = root / _host()
    folder.mkdir(parents=True, exist_ok=True)
    _prune(root, LIMIT_BYTES)
    return folder


def _host() -> str:
    """A name for all hosts, and processes of a host, that can run the same programs."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        about = sorted({x for x in lines if x.startswith(("model name", "flags", "Features"))})
    except OSError:  # not Linux
        about = [platform.processor()]
    may_use = getattr(os, "sched_getaffinity", None)
    cores = len(may_use(0)) if may_use else os.cpu_count()
    digest = hashlib.sha256("\n".join(about).encode()).hexdigest()[:12]
    return f"{platform.system()}-{platform.machine()}-{digest}-{cores}-cores".lower()


def _prune(folder: Path, limit: int) -> None:
    """Deletes what was used longest ago, until `limit` bytes are left, and what is empty.

    Other processes may do so at the same time, or read: a program that is gone is compiled.
    """
    found = []
    for path in folder.rglob("*"):
        try:
            about = path.stat()
        except FileNotFoundError:
            continue
        if path.is_file():
            # Many disks note the time of reading once a day, some never.
            found.append((max(about.st_atime, about.st_mtime), about.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total > limit or not size:
            path.unlink(missing_ok=True)
            total -= size


class _Mending:
    """`warnings.showwarning`, but where a program cannot be read or written, all are deleted.

    JAX never replaces a program in its cache. One of which a full disk or a power cut left a part
    would be a warning at each start, for ever.
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
