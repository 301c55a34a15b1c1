"""Whether a program uses XLA's native operations or our replacements for them.

XLA's CPU backend is slow with some native operations, above all with gradients of convolutions.
There the layers of this package are traced as other operations that it is fast with.
"""

import contextlib
import contextvars

import jax

_native_only: contextvars.ContextVar = contextvars.ContextVar("native_only", default=False)


@contextlib.contextmanager
def native():
    """Inside this context, programs are traced with the native operations on every backend.

    For counting a network's own arithmetic, for comparing values, and for programs that run so
    seldom that compiling is most of their cost: evaluations and pictures compile in a tenth to a
    third of the time, and run at most twice as long.
    """
    token = _native_only.set(True)
    try:
        yield
    finally:
        _native_only.reset(token)


def spelled_out() -> bool:
    """Whether to trace the replacements: on the CPU backend, outside of `native()`."""
    return jax.default_backend() == "cpu" and not _native_only.get()
