"""What a run computes on: the mesh and how work is divided over it, the processes that share it,
the compiled programs that are kept, and how a run is asked to stop."""

from genjax.devices.parallel import AXIS, gather_params, jit, pmean
from genjax.devices.stop import StopRequest

__all__ = ["AXIS", "StopRequest", "gather_params", "jit", "pmean"]
