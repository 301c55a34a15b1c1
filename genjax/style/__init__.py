"""Style transfer by optimisation: the parameters are the pixels of the picture."""

from genjax.style.task import build

__all__ = ["build"]
