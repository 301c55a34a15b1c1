"""Whether a program uses XLA's native operations or our replacements for them.

XLA's CPU backend is slow with some native operations, above all with gradients of convolutions.
There the layers of this package are traced as other operations that it is fast with.
"""

import contextlib
import contextvars
from typing import NamedTuple

import jax


class _Ways(NamedTuple):
    """Which replacements a program is traced with, on the CPU backend."""

    spelled: bool = True
    gradients: bool = True  # whether it may have any; else strided convolutions are native
    filtering: bool = True


_TRAINING = _Ways()
_ways: contextvars.ContextVar = contextvars.ContextVar("ways", default=_TRAINING)


@contextlib.contextmanager
def _within(ways: _Ways):
    token = _ways.set(ways)
    try:
        yield
    finally:
        _ways.reset(token)


def native():
    """Inside this context, programs are traced with the native operations on every backend.

    For counting a network's own arithmetic, for comparing values, and for programs that run so
    seldom that compiling is most of their cost: evaluations and pictures compile in a tenth to a
    third of the time, and run at most twice as long.
    """
    return _within(_Ways(spelled=False))


def forward(often: bool):
    """Inside this context, programs are traced with the replacements that pay without gradients.

    Args:
      often: whether a program runs so often that minimal filtering (`genjax.nn.winograd`), which
        takes twice as long to compile, pays as well.
    """
    return _within(_Ways(gradients=False, filtering=often))


def spelled_out() -> bool:
    """Whether to trace the replacements: on the CPU backend, outside of `native()`."""
    return jax.default_backend() == "cpu" and _ways.get().spelled


def gradients() -> bool:
    """Whether a program may have gradients: outside of `forward()`."""
    return _ways.get().gradients


def filtering() -> bool:
    """Whether a program may have convolutions by minimal filtering."""
    return _ways.get().filtering
