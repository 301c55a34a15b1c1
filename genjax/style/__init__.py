"""Style transfer by optimisation: the picture is the parameter."""

from genjax.style.task import build

__all__ = ["build"]
