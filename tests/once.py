"""What is dear to make is made once a session, by whichever process needs it first."""

import fcntl
from collections.abc import Callable
from pathlib import Path


def session_folder(tmp_path_factory) -> Path:
    """A folder that all of pytest's processes share and that ends with the session."""
    own = tmp_path_factory.getbasetemp()
    # pytest-xdist gives each of its processes a folder in the session's.
    return own.parent if own.name.startswith("popen-") else own


def once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, which `make(folder)` has filled; processes that come while it is made wait."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder.with_name(f"{folder.name}.made")
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            make(folder)
            made.touch()
    return folder
