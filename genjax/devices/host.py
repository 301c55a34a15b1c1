"""The processor of this host, on which compiled programs and their rounding depend."""

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
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


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
    fields = (line.partition(":") for line in cpuinfo())
    return {key.strip(): value.strip() for key, _, value in fields}
