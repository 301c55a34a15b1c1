"""Layers that several families share, built on convolutions that are fast on every backend."""

from genjax.nn.attention import SelfAttention
from genjax.nn.group_norm import GroupNorm
from genjax.nn.instance_norm import ConditionalInstanceNorm
from genjax.nn.layers import (
    BatchNorm,
    ConditionalBatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Embed,
    average_pool,
    max_pool,
    to_even,
)
from genjax.nn.parts import InParts
from genjax.nn.precision import compute_type
from genjax.nn.spectral_norm import SpectralNorm
from genjax.nn.training import apply, check_lasts, descend, updated, with_params

__all__ = [
    "BatchNorm",
    "ConditionalBatchNorm",
    "ConditionalInstanceNorm",
    "Conv",
    "ConvTranspose",
    "Dense",
    "Embed",
    "GroupNorm",
    "InParts",
    "SelfAttention",
    "SpectralNorm",
    "apply",
    "average_pool",
    "check_lasts",
    "compute_type",
    "descend",
    "max_pool",
    "to_even",
    "updated",
    "with_params",
]
