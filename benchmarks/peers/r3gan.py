"""R3GAN's networks in PyTorch: `genjax.gan.r3gan`."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers.base import require
from benchmarks.peers.layers import Conv, Named, full
from benchmarks.peers.resample import downsample, upsample


class Block(nn.Module):
    def __init__(self, width: int, groups: int, depth: int):
        super().__init__()
        inside = 2 * width
        deviation = (2 / 1.04) ** 0.5 * depth**-0.25
        self.expand, self.contract = Conv(width, inside, 1), Conv(inside, width, 1)
        self.grouped = nn.Parameter(torch.empty(inside, inside // groups, 3, 3))
        self.bias0, self.bias1 = (nn.Parameter(torch.zeros(inside)) for _ in range(2))
        self.groups = groups
        with torch.no_grad():
            self.expand.weight.normal_(0, deviation * width**-0.5)
            self.grouped.normal_(0, deviation * (9 * inside / groups) ** -0.5)
            self.contract.weight.zero_()

    def forward(self, x):
        y = F.leaky_relu_(F.conv2d(x, self.expand.weight, self.bias0), 0.2)
        y = F.conv2d(y, self.grouped, self.bias1, padding=1, groups=self.groups)
        return x + self.contract(F.leaky_relu_(y, 0.2))


def _conv(inputs: int, features: int) -> Conv:
    layer = Conv(inputs, features, 1)
    nn.init.normal_(layer.weight, 0, inputs**-0.5)
    return layer


def _dense(inputs: int, features: int) -> nn.Linear:
    layer = nn.Linear(inputs, features, bias=False)
    nn.init.normal_(layer.weight, 0, inputs**-0.5)
    return layer


class _Stages(Named):
    """The blocks of all stages, and between two stages of other widths a convolution."""

    def __init__(self, model, channels: int):
        super().__init__()
        self.widths, self.blocks = tuple(model.widths), model.blocks
        self.basis = nn.Parameter(torch.randn(self.widths[0], 4, 4))
        depth = len(self.widths) * model.blocks
        for i, (width, groups) in enumerate(zip(self.widths, model.groups, strict=True)):
            for j in range(model.blocks):
                self.add_module(f"block{j}_{4 << i}", Block(width, groups, depth))
            if i and width != (before := self.widths[i - 1]):
                self.add_module(f"width_{4 << i}", self.between(before, width))
        self.pixels = self.between(self.widths[-1], channels)

    def stage(self, x, i: int):
        for j in range(self.blocks):
            x = getattr(self, f"block{j}_{4 << i}")(x)
        return x

    def bridged(self, x, i: int):
        """To or from the width of the stage before; the same where that has it too."""
        bridge = getattr(self, f"width_{4 << i}", None)
        return x if bridge is None else bridge(x)


class Generator(_Stages):
    between = staticmethod(_conv)

    def __init__(self, model, channels: int):
        super().__init__(model, channels)
        self.latent = _dense(model.latent, self.widths[0])

    def forward(self, z, label=None):
        x = self.basis * self.latent(z)[:, :, None, None]
        kernel = self.block0_4.grouped
        last = kernel.is_contiguous(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
        for i in range(len(self.widths)):
            x = self.stage(upsample(self.bridged(x, i)) if i else x, i)
        return full(self.pixels(x))


class Discriminator(_Stages):
    between = staticmethod(lambda outputs, inputs: _conv(inputs, outputs))

    def __init__(self, model, channels: int):
        super().__init__(model, channels)
        self.logit = _dense(self.widths[0], 1)
        nn.init.normal_(self.basis, 0, 1 / 4)

    def forward(self, x, label=None):
        x = self.pixels(x)
        for i in reversed(range(len(self.widths))):
            x = self.stage(x, i)
            x = self.bridged(downsample(x), i) if i else x
        return self.logit(full(x * self.basis).sum((2, 3)))[:, 0]


def networks(model, shape, classes: int) -> tuple[nn.Module, nn.Module]:
    require(model, "condition", ("none",))
    return Generator(model, shape[2]), Discriminator(model, shape[2])
