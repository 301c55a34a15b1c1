"""Generative adversarial networks: a generator and a discriminator, trained in turn."""

from genjax.gan.task import build

__all__ = ["build"]
