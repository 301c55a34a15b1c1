"""Layers that several families share, over convolutions that are fast on every backend."""

from genjax.nn.layers import BatchNorm, Conv, ConvTranspose, Dense, average_pool, max_pool
from genjax.nn.precision import compute_type
from genjax.nn.spectral_norm import SpectralNorm

__all__ = [
    "BatchNorm",
    "Conv",
    "ConvTranspose",
    "Dense",
    "SpectralNorm",
    "average_pool",
    "compute_type",
    "max_pool",
]
