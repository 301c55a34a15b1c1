"""What decides the bits of a run besides its config and its data: the code, and what runs it."""

import hashlib
import importlib.metadata
import os
import pathlib
import platform

import jax

import genjax
from genjax.devices import host, parallel, processes

# The libraries besides JAX that compute, or that decode pictures.
_LIBRARIES = ("jaxlib", "flax", "optax", "numpy", "pillow")


def of_code() -> dict[str, str]:
    """The versions of genjax, JAX and Python, for processes to compare."""
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(genjax.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return {
        "genjax": f"{genjax.__version__} {digest.hexdigest()[:12]}",
        "jax": jax.__version__,
        "python": platform.python_version(),
    }


def of_run(devices: parallel.Jit) -> dict[str, str]:
    """All of it, by name, for people to compare; all processes have to call this."""
    return {
        **of_code(),
        **{name: importlib.metadata.version(name) for name in _LIBRARIES},
        "devices": str(devices),
        "runtime": devices.runtime,
        "cpu": "; ".join(sorted(set(processes.exchange(host.description())))),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
    }
