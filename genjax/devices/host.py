"""This host: its processor, on which compiled programs and their rounding depend; its memory."""

import ctypes
import math
import os
import platform
from pathlib import Path

# As the kernel calls them, the widest first: of x86 processors, then of Arm's.
_VECTORS = ("avx512f", "avx2", "avx", "sve", "asimd")


def cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpuinfo() -> list[str]:
    """The lines of /proc/cpuinfo; none on systems without that file."""
    return _lines("/proc/cpuinfo")


def free_memory() -> float:
    """Bytes that this process can still get; infinity on systems that do not say.

    The least of what the machine has free, swap included, and of what is left of the limits of the
    process (`ulimit -v`) and of its container (cgroup).
    """
    return min(_free_on_machine(), _left_of_limit(), _left_in_container())


def release_memory() -> None:
    """Gives what this process has freed back to the system, where the C library can (glibc).

    Left to itself it keeps what was freed in small pieces: hundreds of MB once XLA has compiled.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _free_on_machine() -> float:
    fields = _fields(_lines("/proc/meminfo"))
    if "MemAvailable" not in fields:
        return math.inf
    kilobytes = (fields[x].split()[0] for x in ("MemAvailable", "SwapFree"))
    return 1024 * sum(map(int, kilobytes))


def _left_of_limit() -> float:
    try:
        import resource
    except ImportError:  # as on Windows
        return math.inf
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return math.inf
    used = _fields(_lines("/proc/self/status")).get("VmSize", "0").split()[0]
    return limit - 1024 * int(used)


def _left_in_container() -> float:
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text().strip()
        used = int((folder / "memory.current").read_text())
        # Cached files count as used, and are given up when memory is wanted.
        statistics = dict(
            line.split() for line in (folder / "memory.stat").read_text().splitlines()
        )
    except (OSError, ValueError):
        return math.inf
    if limit == "max":
        return math.inf
    return int(limit) - used + int(statistics.get("inactive_file", 0))


def _lines(path: str) -> list[str]:
    """The lines of a file; none where there is no such file."""
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _fields(lines: list[str]) -> dict[str, str]:
    """{name: value} of lines `name: value`; of equal names the last one counts."""
    return {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}


def processor() -> tuple[str, str]:
    """(name, vectors): `AMD EPYC` and the widest vector instructions, `avx2`; "" if unknown.

    Virtual machines give one name to processors of which one is several times as fast.
    """
    about = _last_core()
    name = about.get("model name") or platform.processor() or platform.machine()
    can = about.get("flags", about.get("Features", "")).split()
    return name, next((x for x in _VECTORS if x in can), "")


def description() -> str:
    """What decides how XLA compiles for this host: its processor and the number of cores."""
    about, (name, vectors) = _last_core(), processor()
    if "cpu family" in about:  # Arm's processors have none
        name += f" (family {about['cpu family']}, model {about['model']})"
    count = cores()
    words = [name, vectors, f"{count} {'core' if count == 1 else 'cores'}"]
    return ", ".join(filter(None, words))


def _last_core() -> dict[str, str]:
    """{field of /proc/cpuinfo: value} of the last core, which is like the others."""
    return _fields(cpuinfo())
