"""StyleGAN2's networks in PyTorch: `genjax.gan.stylegan2`, `mapping`, `synthesis`, `modulation`."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers import resample
from benchmarks.peers.base import require
from benchmarks.peers.equalized import GAIN, EqualConv, EqualDense, EqualFromPicture, activate
from benchmarks.peers.layers import Named, full

_RATE, _KEPT, _EPSILON = 0.01, 0.995, 1e-8


class Mapping(nn.Module):
    """z [B, Z] -> w [B, style]; in training the running mean of w moves."""

    def __init__(self, latent: int, style: int, layers: int):
        super().__init__()
        self.layers = [f"layer{i}" for i in range(layers)]
        for i, name in enumerate(self.layers):
            inputs = style if i else latent
            self.add_module(name, EqualDense(inputs, style, rate=_RATE, gain=GAIN))
        self.register_buffer("mean", torch.zeros(style))

    def forward(self, z):
        w = z * torch.rsqrt(z.square().mean(1, keepdim=True) + _EPSILON)
        for name in self.layers:
            w = activate(getattr(self, name)(w))
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(w.mean(0), 1 - _KEPT)
        return w


class StyledConv(nn.Module):
    """A modulated convolution of 3 x 3 pixels, noise, bias and activation.

    One convolution for all examples, with scaled inputs and outputs. (A grouped one with a kernel
    for each example took longer where both were timed.)
    """

    def __init__(self, inputs: int, features: int, style: int, side: int, up: bool):
        super().__init__()
        self.affine = EqualDense(style, inputs, first=1.0)
        self.kernel = nn.Parameter(torch.randn(features, inputs, 3, 3))
        self.noise_strength = nn.Parameter(torch.tensor(0.0))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("noise", torch.randn(1, 1, side, side))
        self.up = up

    def forward(self, x, w, noise=None):
        style = self.affine(w)
        x = x * style[:, :, None, None]
        if self.up:
            y = F.conv_transpose2d(x, self.kernel.transpose(0, 1), stride=2)
            y = resample.smooth(y, 1, gain=4.0)
        else:
            y = F.conv2d(x, self.kernel, padding=1)
        squares = F.linear(style.square(), self.kernel.square().sum((2, 3)))
        factor = torch.rsqrt(squares + _EPSILON) * GAIN
        noise = self.noise if noise is None else noise
        added = (noise * (self.noise_strength * GAIN)).to(y.dtype)
        bias = (self.bias * GAIN).to(y.dtype)[None, :, None, None]
        y = torch.addcmul(added, y, factor.to(y.dtype)[:, :, None, None])
        return activate(y.add_(bias))


class ToPixels(nn.Module):
    """A modulated convolution of one pixel without demodulation."""

    def __init__(self, inputs: int, channels: int, style: int):
        super().__init__()
        self.affine = EqualDense(style, inputs, first=1.0)
        self.kernel = nn.Parameter(torch.randn(channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.factor = inputs**-0.5

    def forward(self, x, w):
        style = self.affine(w) * self.factor
        return full(F.conv2d(x * style[:, :, None, None], self.kernel, self.bias))


class Synthesis(nn.Module):
    def __init__(self, size: int, channels: int, features, style: int):
        super().__init__()
        self.sides = [1 << level for level in range(2, size.bit_length())]
        self.const = nn.Parameter(torch.randn(features(4), 4, 4))
        for i, side in enumerate(self.sides):
            inputs, outputs = features(self.sides[i - 1]), features(side)
            if i:
                self.add_module(f"up_{side}", StyledConv(inputs, outputs, style, side, True))
            self.add_module(f"conv_{side}", StyledConv(outputs, outputs, style, side, False))
            self.add_module(f"pixels_{side}", ToPixels(outputs, channels, style))

    def forward(self, w, noise: dict):
        kernel = self.conv_4.kernel
        last = kernel.is_contiguous(memory_format=torch.channels_last)
        x = self.const.expand(len(w), -1, -1, -1)
        x = x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
        image = None
        for side in self.sides:
            for name in (f"up_{side}", f"conv_{side}"):
                if hasattr(self, name):
                    x = getattr(self, name)(x, w, noise.get(name))
            pixels = getattr(self, f"pixels_{side}")(x, w)
            image = pixels if image is None else resample.upsample(image).add_(pixels)
        return image


class Generator(Named):
    """Latents to pictures; a layer whose noise is not given has its own, as outside of training."""

    def __init__(self, model, shape, features):
        super().__init__()
        self.mapping = Mapping(model.latent, model.style, model.mapping)
        self.synthesis = Synthesis(shape[0], shape[2], features, model.style)

    def forward(self, z, label=None, noise: dict | None = None):
        return self.synthesis(self.mapping(z), noise or {})


class Discriminator(Named):
    """Attributes:
    in_groups: that examples of a batch are compared with each other. Several batches are judged
      at once as `parts` of one.
    """

    in_groups = True

    def __init__(self, model, shape, features):
        super().__init__()
        self.sides = [1 << level for level in range(shape[0].bit_length() - 1, 2, -1)]
        self.group, resnet = model.group, model.discriminator == "resnet"
        half = 0.5**0.5 if resnet else 1.0
        self.pixels = EqualConv(shape[2], features(shape[0]), 1, gain=GAIN)
        for side in self.sides:
            c, halved = features(side), features(side // 2)
            self.add_module(f"conv_{side}", EqualConv(c, c, 3, gain=GAIN))
            self.add_module(f"down_{side}", EqualConv(c, halved, 3, True, gain=GAIN * half))
            shortcut = EqualConv(c, halved, 1, True, bias=False, gain=half) if resnet else None
            self.add_module(f"shortcut_{side}", shortcut)
        c = features(4)
        self.conv_4 = EqualConv(c + 1, c, 3, gain=GAIN)
        self.dense = EqualFromPicture((c, 4, 4), c, gain=GAIN)
        self.logit = EqualDense(c, 1)

    def forward(self, x, label=None, parts: int = 1):
        x = activate(self.pixels(x))
        for side in self.sides:
            y = activate(getattr(self, f"conv_{side}")(x))
            y = activate(getattr(self, f"down_{side}")(y))
            shortcut = getattr(self, f"shortcut_{side}")
            x = y if shortcut is None else y + shortcut(x)
        x = activate(self.conv_4(self._with_deviation(full(x), parts)))
        return self.logit(activate(self.dense(x)))[:, 0]

    def _with_deviation(self, x, parts: int):
        n, _, h, w = x.shape
        members = min(self.group, n // parts)
        grouped = x.unflatten(0, (parts, members, -1))
        variance = grouped.var(1, correction=0)
        deviation = (variance + _EPSILON).sqrt().mean((2, 3, 4))
        of_each = deviation[:, None].expand(-1, members, -1).reshape(n, 1, 1, 1)
        return torch.cat([x, of_each.expand(-1, -1, h, w)], 1)


def networks(model, shape, classes: int) -> tuple[nn.Module, nn.Module]:
    require(model, "generator", ("skip",))
    require(model, "discriminator", ("resnet", "orig"))
    require(model, "condition", ("none",))
    require(model, "mixing", (0.0,))

    def features(side: int) -> int:
        return min(model.base // side, model.width)

    return Generator(model, shape, features), Discriminator(model, shape, features)
