"""Whether the backend that will run a program needs its operations spelled out."""

import contextlib
import contextvars

import jax

_native_only: contextvars.ContextVar = contextvars.ContextVar("native_only", default=False)


@contextlib.contextmanager
def native():
    """Within it, programs are traced with the native operations on every backend.

    For counting a network's own arithmetic, for comparing values, and for what runs so seldom that
    compiling is most of its cost.
    """
    token = _native_only.set(True)
    try:
        yield
    finally:
        _native_only.reset(token)


def spelled_out() -> bool:
    """Whether to trace what XLA's CPU backend is fast with, in place of the native operations."""
    return jax.default_backend() == "cpu" and not _native_only.get()
