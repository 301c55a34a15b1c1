"""The folder of a run: its checkpoints and their fingerprints, and the lock that keeps others out.

How a run resumes is decided here.
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
