"""The most memory that this process has used."""

import resource
import sys

import jax

from genjax.speed import speed


def peak_bytes() -> int:
    """Of its fullest device, or of main memory on a CPU."""
    return speed.peak_memory(jax.local_devices()) or resident_peak_bytes()


def resident_peak_bytes() -> int:
    """Of main memory."""
    known = speed.resident_peak()
    if known is not None:
        return known
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)
