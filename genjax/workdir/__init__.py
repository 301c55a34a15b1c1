"""The folder of a run: its config and what it knows of its data, checkpoints with fingerprints, and
the lock that keeps other runs out.

What a run resumes from is decided here.
"""

from genjax.workdir.checkpoint import Checkpoints, Restored, restore, restore_arrays, saved_steps
from genjax.workdir.enter import enter_workdir
from genjax.workdir.lock import Hold, hold

__all__ = [
    "Checkpoints",
    "Hold",
    "Restored",
    "enter_workdir",
    "hold",
    "restore",
    "restore_arrays",
    "saved_steps",
]
