"""Convolutional networks: image classifiers, and networks whose features others compare."""

from genjax.cnn.task import build

__all__ = ["build"]
