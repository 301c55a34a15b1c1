"""What a step costs: its arithmetic, the bytes between devices, and traces of where time goes."""

from genjax.speed.profile import Profile
from genjax.speed.speed import Speed

__all__ = ["Profile", "Speed"]
