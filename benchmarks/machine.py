"""What the measurements were taken on: hardware, versions, commit."""

import argparse
import datetime
import functools
import importlib.metadata
import os
import platform
import re
import resource
import shlex
import subprocess
import sys
from importlib.util import find_spec

import jax

from genjax.devices import host

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")


def cpu_model() -> str:
    """The processor as it names itself, with AVX-512 or AVX2 if it has them: `AMD EPYC (AVX2)`."""
    name, vectors = host.processor()
    return name + {"avx512f": " (AVX-512)", "avx2": " (AVX2)"}.get(vectors, "")


def memory_bytes() -> int:
    """The machine's main memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def device() -> dict:
    """What JAX computes on: `platform`, `kind` and `count`."""
    first, *others = jax.devices()
    return {"platform": first.platform, "kind": first.device_kind, "count": 1 + len(others)}


def peak_bytes() -> int:
    """The most that this process has used of its fullest device, or of main memory on a CPU."""
    from genjax.speed import speed

    return speed.peak_memory(jax.local_devices()) or resident_peak_bytes()


def resident_peak_bytes() -> int:
    """The most that this process has used of main memory."""
    from genjax.speed import speed

    unit = 1 if sys.platform == "darwin" else 1024
    return speed.resident_peak() or unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def slug(device: dict) -> str:
    """What `device` says as a folder's name: `cpu-2-amd-epyc-avx2`, `gpu-nvidia-h100`."""
    if device["platform"] == "cpu":
        name = f"cpu-{host.cores()}-{cpu_model()}"
    else:
        count = f"{device['count']}-" if device["count"] > 1 else ""
        name = f"{device['platform']}-{count}{device['kind']}"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def describe(device: dict) -> dict:
    """The environment of a report, as JSON."""
    return {
        "device": device,
        "cpu": cpu_model(),
        "cores": host.cores(),
        "memory_bytes": memory_bytes(),
        "system": f"{platform.system()} {platform.release()}",
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in PACKAGES if find_spec(name)},
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(["python", "-m", "benchmarks", *_arguments()]),
    }


def _arguments() -> list[str]:
    """Those of this command, without where the report is to lie: a place on one machine."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--out")
    return parser.parse_known_args(sys.argv[1:])[1]


def _commit() -> str:
    """The commit of the clone, with a word where the files differ from it."""
    git = functools.partial(subprocess.check_output, text=True, stderr=subprocess.DEVNULL)
    status = ["status", "--porcelain", "--untracked-files=no", "--", "genjax", "configs"]
    try:
        commit = git(["git", "rev-parse", "--short=12", "HEAD"]).strip()
        return f"{commit} with changes" if git(["git", *status]) else commit
    except (OSError, subprocess.CalledProcessError):
        return "no git clone"
