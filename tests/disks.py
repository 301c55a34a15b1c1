"""Small and read-only file systems, mounted for a test: their faults are the kernel's own."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, size: str, options: str = ""):
    """Mounts an empty file system of `size`, such as "2m", at `folder`."""
    folder.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", ",".join(filter(None, (f"size={size}", options))), "tmpfs", folder)
    try:
        yield folder
    finally:
        # Lazily: a test that failed may have left a file open.
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Takes all room but `leave` bytes; returns the file to delete to make room again."""
    ballast = disk / "ballast"
    free = os.statvfs(disk)
    ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - leave))
    return ballast


def make_read_only(disk: Path):
    """From now on nothing on a mounted `disk` can be changed."""
    _mount("-o", "remount,ro", disk)


def _mount(*arguments):
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        cannot(f"this test mounts a file system, which needs root: {done.stderr.strip()}")


def cannot(reason: str):
    """Skips a test that this machine cannot run; CI has to be able to, and fails."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
