"""Convolutional networks: an image classifier to train, and feature networks for style transfer."""

from genjax.cnn.task import build

__all__ = ["build"]
