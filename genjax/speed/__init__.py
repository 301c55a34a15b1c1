"""What a step costs: its arithmetic, the bytes sent between devices, and profiles of its time."""

from genjax.speed.profile import Profile
from genjax.speed.speed import Speed

__all__ = ["Profile", "Speed"]
