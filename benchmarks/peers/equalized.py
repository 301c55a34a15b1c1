"""Layers with equalised learning rates, as in StyleGAN2: `genjax.gan.equalized`.

A weight is divided by the root of its fan-in each time. An activation's gain goes into weight and
bias, since a leaky ReLU of a multiple is that multiple.
"""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers import resample

GAIN = 2**0.5  # of an activation


def activate(x):
    """A leaky ReLU in place, without its gain."""
    return F.leaky_relu_(x, 0.2)


class EqualDense(nn.Module):
    """[B, inputs] -> [B, features], times `gain`; its kernel starts 1 / rate as large."""

    def __init__(self, inputs: int, features: int, rate=1.0, first=0.0, gain=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features, inputs) / rate)
        self.bias = nn.Parameter(torch.full((features,), first))
        self.factor, self.of_bias = gain * rate / inputs**0.5, gain * rate

    def forward(self, x):
        bias = self.bias if self.of_bias == 1 else self.bias * self.of_bias
        return torch.addmm(bias, x, self._matrix().T, alpha=self.factor)

    def _matrix(self):
        return self.weight


class EqualFromPicture(EqualDense):
    """The same of pictures of a `shape` (C, H, W): `layers.FromPicture`."""

    def __init__(self, shape: tuple[int, int, int], features: int, gain=1.0):
        super().__init__(shape[0] * shape[1] * shape[2], features, gain=gain)
        self.weight = nn.Parameter(self.weight.detach().unflatten(1, shape).clone())

    def forward(self, x):
        if not self.weight.is_contiguous():
            x = x.permute(0, 2, 3, 1)
        return super().forward(x.flatten(1))

    def _matrix(self):
        weight = self.weight
        return (weight if weight.is_contiguous() else weight.permute(0, 2, 3, 1)).flatten(1)


class EqualConv(nn.Module):
    """A convolution that keeps the size of its input, or with `down` halves it, times `gain`."""

    def __init__(self, inputs: int, features: int, size: int, down=False, bias=True, gain=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(features)) if bias else None
        self.size, self.down = size, down
        self.factor, self.of_bias = gain / (inputs * size * size) ** 0.5, gain

    def forward(self, x):
        weight = self.weight * self.factor
        bias = self.bias if self.bias is None or self.of_bias == 1 else self.bias * self.of_bias
        if not self.down:
            return F.conv2d(x, weight, bias, padding=self.size // 2)
        if self.size == 1:
            return F.conv2d(resample.downsample(x), weight, bias)
        return F.conv2d(resample.smooth(x, 2), weight, bias, stride=2)
