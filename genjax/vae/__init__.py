"""Variational autoencoders: an encoder and a decoder that maximise a bound on the likelihood."""

from genjax.vae.task import build

__all__ = ["build"]
