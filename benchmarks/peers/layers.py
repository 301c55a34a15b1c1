"""The few layers that `torch.nn` lacks, and how the networks' layers are spelled."""

import torch
from torch import nn


class Dense(nn.Linear):
    """A linear layer whose inputs or outputs may be the pixels of a picture.

    Attributes:
      pixels_in, pixels_out: (C, H, W) of that picture where it is NCHW in memory, so that the rows
        or columns of the matrix are in another order than genjax's, who counts pixels (H, W, C);
        None where there is no picture or the order is the same.
    """

    def __init__(self, inputs: int, outputs: int, bias=True, pixels_in=None, pixels_out=None):
        super().__init__(inputs, outputs, bias)
        self.pixels_in, self.pixels_out = pixels_in, pixels_out


class Flatten(nn.Module):
    """[B, C, H, W] -> [B, C H W], in the order that the pixels have in memory."""

    def __init__(self, channels_last: bool):
        super().__init__()
        self.channels_last = channels_last

    def forward(self, x):
        return (x.permute(0, 2, 3, 1) if self.channels_last else x).flatten(1)


class Unflatten(nn.Module):
    """The inverse of `Flatten`, to pictures of `shape` (C, H, W)."""

    def __init__(self, shape: tuple[int, int, int], channels_last: bool):
        super().__init__()
        self.shape, self.channels_last = shape, channels_last

    def forward(self, x):
        c, h, w = self.shape
        return (
            x.view(-1, h, w, c).permute(0, 3, 1, 2) if self.channels_last else x.view(-1, c, h, w)
        )


class Float(nn.Module):
    """Ends the part of a network that runs in bfloat16: the answer in float32."""

    def forward(self, x):
        return x.float() if x.dtype == torch.bfloat16 else x


def conv(inputs: int, features: int, size: int, stride=1, padding=0, bias=False) -> nn.Conv2d:
    return nn.Conv2d(inputs, features, size, stride, padding, bias=bias)


def up(inputs: int, features: int, size: int, stride=1, padding=0) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, features, size, stride, padding, bias=False)


def norm(features: int) -> nn.BatchNorm2d:
    """With genjax's epsilon and momentum, which are PyTorch's defaults."""
    return nn.BatchNorm2d(features, eps=1e-5, momentum=0.1)


class SpectralNorm(nn.Module):
    """A weight divided by its largest singular value: `genjax.nn.spectral_norm`.

    In training mode each call takes one step of the power method; otherwise the vectors stay.
    PyTorch's own parametrization goes through the vectors in the other order, which makes other
    numbers, and multiplies by the matrix three times; this one does so twice.
    """

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        self.register_buffer("u", nn.functional.normalize(torch.randn(len(weight)), dim=0))
        self.register_buffer("v", torch.zeros(weight[0].numel()))

    def forward(self, weight):
        with torch.autocast(weight.device.type, enabled=False):
            # A view in either memory format; the order of the columns is no matter.
            matrix = (weight if weight.is_contiguous() else weight.permute(0, 2, 3, 1)).flatten(1)
            if not self.training:
                return weight / torch.dot(self.u, torch.mv(matrix, self.v))
            with torch.no_grad():
                v = nn.functional.normalize(torch.mv(matrix.T, self.u), dim=0)
                self.v.copy_(v)
            product = torch.mv(matrix, v)
            u = nn.functional.normalize(product.detach(), dim=0)
            self.u.copy_(u)
            return weight / torch.dot(u, product)


class SpectralConv(nn.Conv2d):
    """A convolution whose kernel passes through `SpectralNorm`."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.spectral = SpectralNorm(self.weight)

    def forward(self, x):
        return self._conv_forward(x, self.spectral(self.weight), self.bias)


class SpectralDense(Dense):
    """A linear layer whose matrix passes through `SpectralNorm`."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.spectral = SpectralNorm(self.weight)

    def forward(self, x):
        return nn.functional.linear(x, self.spectral(self.weight), self.bias)
