"""Resampling by two with the filter [1, 3, 3, 1]: `genjax.nn.resample`.

One depthwise convolution each, whose filter is the outer product. (Two of one dimension each, and
sums of shifted pictures, took longer on the CPUs where all were timed.)
"""

import functools

import torch
from torch.nn import functional as F  # noqa: N812 (the field's name for it)


@functools.cache
def _filter(channels: int, gain: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    line = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=dtype, device=device) / 8
    return (gain * torch.outer(line, line)).expand(channels, 1, 4, 4).contiguous()


def _of(x: torch.Tensor, gain: float = 1.0) -> torch.Tensor:
    return _filter(x.shape[1], gain, x.dtype, x.device)


def upsample(x):
    """[B, C, H, W] -> [B, C, 2H, 2W]."""
    return F.conv_transpose2d(x, _of(x, 4.0), stride=2, padding=1, groups=x.shape[1])


def downsample(x):
    """[B, C, H, W] -> [B, C, H / 2, W / 2]."""
    return F.conv2d(x, _of(x), stride=2, padding=1, groups=x.shape[1])


def smooth(x, padding: int, gain: float = 1.0):
    """[B, C, H, W] -> [B, C, H + 2 padding - 3, …]."""
    return F.conv2d(x, _of(x, gain), padding=padding, groups=x.shape[1])
