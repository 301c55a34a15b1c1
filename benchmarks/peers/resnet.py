"""SNGAN's residual networks and BigGAN's in PyTorch: `genjax.gan.blocks`, `resnet` and `biggan`."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers.base import require
from benchmarks.peers.layers import ConditionalBatchNorm, Conv, Dense, Named, full


class GeneratorBlock(nn.Module):
    """BN, ReLU, x2, conv 3, BN, ReLU, conv 3, beside a conv 1 and x2."""

    def __init__(self, inputs: int, features: int, mode: dict, spectral: bool, classes: int):
        super().__init__()
        self.mode, self.conditional = mode, classes > 0
        names = "ConditionalBatchNorm" if classes else "BatchNorm"
        for i, channels in enumerate((inputs, features)):
            norm = ConditionalBatchNorm(channels, classes) if classes else nn.BatchNorm2d(channels)
            self.add_module(f"{names}_{i}", norm)
        self.norms = [f"{names}_{i}" for i in range(2)]
        self.shortcut = Conv(inputs, features, 1, bias=True, spectral=spectral)
        self.Conv_0 = Conv(inputs, features, 3, 1, 1, bias=True, spectral=spectral)
        self.Conv_1 = Conv(features, features, 3, 1, 1, bias=True, spectral=spectral)

    def forward(self, x, label=None):
        first, second = (getattr(self, name) for name in self.norms)
        given = (label,) if self.conditional else ()
        y = F.interpolate(F.relu_(first(x, *given)), scale_factor=2, **self.mode)
        y = self.Conv_1(F.relu_(second(self.Conv_0(y), *given)))
        return y.add_(F.interpolate(self.shortcut(x), scale_factor=2, **self.mode))


class DiscriminatorBlock(nn.Module):
    """ReLU, conv 3, ReLU, conv 3, and where it halves the mean of 2 x 2, beside a conv 1."""

    def __init__(self, inputs: int, features: int, halve: bool, first: bool):
        super().__init__()
        self.halve, self.first = halve, first
        layer = {"bias": True, "spectral": True}
        if halve or inputs != features:
            self.shortcut = Conv(inputs, features, 1, **layer)
        else:
            self.shortcut = None
        # All published widths keep or have the features that follow in the first convolution.
        self.Conv_0 = Conv(inputs, features, 3, 1, 1, **layer)
        self.Conv_1 = Conv(features, features, 3, 1, 1, **layer)

    def forward(self, x):
        y = x if self.first else F.relu(x)
        y = self.Conv_1(F.relu_(self.Conv_0(y)))
        if self.halve:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        return y + (x if self.shortcut is None else self.shortcut(x))


class Generator(Named):
    def __init__(self, model, channels: int, blocks: int, mode: dict, spectral: bool, classes: int):
        super().__init__()
        width = 4 * model.width
        self.Dense_0 = Dense(model.latent, 4 * 4 * width, spectral=spectral)
        self.blocks = [f"GeneratorBlock_{i}" for i in range(blocks)]
        for name in self.blocks:
            self.add_module(name, GeneratorBlock(width, width, mode, spectral, classes))
        self.BatchNorm_0 = nn.BatchNorm2d(width)
        self.Conv_0 = Conv(width, channels, 3, 1, 1, bias=True, spectral=spectral)

    def forward(self, z, label=None):
        kernel = self.Conv_0.weight
        last = kernel.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        x = self.Dense_0(z).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2)
        x = x.contiguous(memory_format=layout)
        for name in self.blocks:
            x = getattr(self, name)(x, label)
        return torch.tanh(full(self.Conv_0(F.relu_(self.BatchNorm_0(x)))))


class Discriminator(Named):
    def __init__(self, width: int, channels: int, blocks: int, halvings: int, classes: int):
        super().__init__()
        self.blocks = [f"DiscriminatorBlock_{i}" for i in range(blocks)]
        for i, name in enumerate(self.blocks):
            inputs = width if i else channels
            self.add_module(name, DiscriminatorBlock(inputs, width, i < halvings, not i))
        self.logit = Dense(width, 1, spectral=True)
        self.Embed_0 = Dense(classes, width, bias=False, spectral=True) if classes else None

    def forward(self, x, label=None):
        for name in self.blocks:
            x = getattr(self, name)(x)
        x = full(F.relu_(x)).sum((2, 3))
        logits = self.logit(x)[:, 0]
        if self.Embed_0 is None:
            return logits
        rows = self.Embed_0.normalize(self.Embed_0.weight).T
        return logits + (F.embedding(label, rows) * x).sum(1)


def resnet(model, shape, classes: int) -> tuple[nn.Module, nn.Module]:
    for key, value in (("condition", "none"), ("norm", "spectral"), ("pool", "sum")):
        require(model, key, (value,))
    require(model, "head", ("none",))
    mode = {"mode": "bilinear", "align_corners": False}
    return _networks(model, shape, mode, 0, spectral=False, small=2)


def biggan(model, shape, classes: int) -> tuple[nn.Module, nn.Module]:
    return _networks(model, shape, {"mode": "nearest"}, classes, spectral=True, small=4)


def _networks(model, shape, mode: dict, classes: int, spectral: bool, small: int):
    size, _, channels = shape
    if size > 32:
        raise ValueError(f"data.size={size} has no peer, only 8 to 32")
    blocks = size.bit_length() - 3
    generator = Generator(model, channels, blocks, mode, spectral, classes)
    width = small * model.width
    return generator, Discriminator(width, channels, blocks + 1, max(1, blocks - 1), classes)
