"""What a run computes on: the device mesh and how work is sharded over it, the processes that
share it, the cache of compiled programs, and the signals that ask a run to stop."""

from genjax.devices.parallel import AXIS, gather_params, pmean
from genjax.devices.program import jit
from genjax.devices.stop import StopRequest

__all__ = ["AXIS", "StopRequest", "gather_params", "jit", "pmean"]
