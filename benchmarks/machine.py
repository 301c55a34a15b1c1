"""What the measurements were taken on: hardware, versions, commit."""

import datetime
import importlib.metadata
import os
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model() -> str:
    """The processor as it names itself, and its widest x86 vectors: `AMD EPYC (AVX2)`.

    Virtual machines give one name to processors of which one is several times as fast.
    """
    info = Path("/proc/cpuinfo")
    about = info.read_text() if info.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", about, re.MULTILINE)
    name = found[1].strip() if found else platform.processor() or platform.machine()
    for flag, vectors in (("avx512f", "AVX-512"), ("avx2", "AVX2")):
        if re.search(rf"^flags\s*:.*\b{flag}\b", about, re.MULTILINE):
            return f"{name} ({vectors})"
    return name


def memory_bytes() -> int:
    """The machine's main memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_bytes() -> int:
    """What processes can still have of it."""
    info = Path("/proc/meminfo")
    if info.exists():
        return (
            int(re.search(r"^MemAvailable:\s+(\d+) kB", info.read_text(), re.MULTILINE)[1]) * 1024
        )
    return memory_bytes()


def slug(device: dict) -> str:
    """`cpu-2-amd-epyc-avx2`, `gpu-nvidia-h100`: a device as a folder's name.

    Args:
      device: `platform`, `kind` and `count` as the worker answers.
    """
    if device["platform"] == "cpu":
        name = f"cpu-{cores()}-{cpu_model()}"
    else:
        count = f"{device['count']}-" if device["count"] > 1 else ""
        name = f"{device['platform']}-{count}{device['kind']}"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def describe(device: dict) -> dict:
    """The environment of a report, as JSON."""
    return {
        "device": device,
        "cpu": cpu_model(),
        "cores": cores(),
        "memory_bytes": memory_bytes(),
        "system": f"{platform.system()} {platform.release()}",
        "versions": {"python": platform.python_version()} | _versions(),
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    """The commit of the clone, with a word where the files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "genjax", "configs")
    except (OSError, subprocess.CalledProcessError):
        return "no git clone"
    return f"{commit} with changes" if changed else commit
