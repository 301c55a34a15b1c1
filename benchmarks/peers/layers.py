"""The few layers that `torch.nn` lacks, and how the networks' layers are spelled."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

_CUT_DEVIATION = 0.8796  # of a normal distribution that is cut off at two of its deviations


class SpectralNorm(nn.Module):
    """A weight divided by its largest singular value: `genjax.nn.spectral_norm`.

    In training mode each call takes one step of the power method; otherwise the vectors stay.
    PyTorch's own parametrization goes through the vectors in the other order, which makes other
    numbers, and multiplies by the matrix three times; this one does so twice.
    """

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        self.register_buffer("u", F.normalize(torch.randn(len(weight)), dim=0))
        self.register_buffer("v", torch.zeros(weight[0].numel()))

    def forward(self, weight):
        with torch.autocast(weight.device.type, enabled=False):
            matrix = _as_it_lies(weight).flatten(1)  # the order of the columns is no matter
            if not self.training:
                return weight / torch.dot(self.u, torch.mv(matrix, self.v))
            with torch.no_grad():
                v = F.normalize(torch.mv(matrix.T, self.u), dim=0)
                self.v.copy_(v)
            product = torch.mv(matrix, v)
            u = F.normalize(product.detach(), dim=0)
            self.u.copy_(u)
            return weight / torch.dot(u, product)


class Named(nn.Module):
    """A network whose modules and parameters are called as those of genjax's, path by path."""


class Dense(nn.Linear):
    """A linear layer; with `spectral`, its weight passes through `SpectralNorm`."""

    def __init__(self, inputs: int, features: int, bias: bool = True, spectral: bool = False):
        super().__init__(inputs, features, bias)
        self.normalize = SpectralNorm(self.weight) if spectral else nn.Identity()

    def forward(self, x):
        return F.linear(x, self.normalize(self.weight), self.bias)


class ConditionalBatchNorm(nn.BatchNorm2d):
    """A BatchNorm with a scale, 1 + an embedding, and a bias for each class."""

    def __init__(self, features: int, classes: int):
        super().__init__(features, affine=False)
        del self.bias  # nothing, in whose place comes what genjax calls so
        self.scale, self.bias = (nn.Embedding(classes, features) for _ in range(2))

    def forward(self, x, label):
        scale, bias = (e(label)[:, :, None, None] for e in (self.scale, self.bias))
        kept = (self.running_mean, self.running_var) if self._kept() else (None, None)
        y = F.batch_norm(x, *kept, training=self.training, momentum=self.momentum, eps=self.eps)
        return torch.addcmul(bias, y, 1 + scale)

    def _kept(self) -> bool:
        return self.track_running_stats or not self.training


class Conv(nn.Conv2d):
    """A convolution; with `spectral`, its kernel passes through `SpectralNorm`."""

    def __init__(
        self, inputs: int, features: int, size, stride=1, padding=0, bias=False, spectral=False
    ):
        super().__init__(inputs, features, size, stride, padding, bias=bias)
        self.normalize = SpectralNorm(self.weight) if spectral else nn.Identity()

    def forward(self, x):
        return self._conv_forward(x, self.normalize(self.weight), self.bias)


class FromPicture(Conv):
    """A dense layer [B, C, H, W] -> [B, features] for pictures of a `shape` (C, H, W).

    Its weight is a kernel as large as the picture. So PyTorch lays both out in the same memory
    format, and both are flattened without a copy.
    """

    def __init__(self, shape: tuple[int, int, int], features: int, spectral: bool = False):
        super().__init__(shape[0], features, shape[1:], bias=True, spectral=spectral)

    def forward(self, x):
        weight = self.normalize(self.weight)
        if not weight.is_contiguous():
            x, weight = x.permute(0, 2, 3, 1), weight.permute(0, 2, 3, 1)
        return F.linear(x.flatten(1), weight.flatten(1), self.bias)


class ToPicture(nn.Module):
    """A dense layer [B, features] -> [B, C, H, W], as `FromPicture`."""

    def __init__(self, features: int, shape: tuple[int, int, int], bias: bool = True):
        super().__init__()
        weight = torch.empty(features, *shape).uniform_(-1, 1) / features**0.5
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(1, *shape)) if bias else None

    def forward(self, x):
        weight = _as_it_lies(self.weight)
        bias = None if self.bias is None else _as_it_lies(self.bias).flatten()
        picture = F.linear(x, weight.flatten(1).T, bias).unflatten(1, weight.shape[1:])
        return picture if self.weight.is_contiguous() else picture.permute(0, 3, 1, 2)


@torch.no_grad()
def lecun(network: nn.Module) -> nn.Module:
    """The network, begun as Linen's layers begin: kernels from a normal distribution, cut off at
    two deviations, with variance 1 / inputs; biases 0. What PyTorch begins with is smaller, and a
    VAE that starts there still has another divergence after 3,000 steps."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | ToPicture):
            from_first = isinstance(module, nn.ConvTranspose2d | ToPicture)  # its axis of inputs
            weight = module.weight.transpose(0, 1) if from_first else module.weight
            inputs = len(module.weight) if isinstance(module, ToPicture) else weight[0].numel()
            deviation = inputs**-0.5 / _CUT_DEVIATION
            nn.init.trunc_normal_(module.weight, 0, deviation, -2 * deviation, 2 * deviation)
            if module.bias is not None:
                module.bias.zero_()
    return network


@torch.no_grad()
def radford(network: nn.Module) -> nn.Module:
    """The network, begun as DCGAN's authors do: kernels from N(0, 0.02²), scales N(1, 0.02²)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight.normal_(0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.normal_(1, 0.02)
    return network


class Float(nn.Module):
    """Ends the part of a network that runs in bfloat16."""

    def forward(self, x):
        return full(x)


def full(x: torch.Tensor) -> torch.Tensor:
    """What is bfloat16 in float32."""
    return x.float() if x.dtype == torch.bfloat16 else x


def _as_it_lies(x: torch.Tensor) -> torch.Tensor:
    """[A, B, C, D], its axes in the order of memory: flattening what follows A copies nothing."""
    return x if x.is_contiguous() else x.permute(0, 2, 3, 1)


def up(inputs: int, features: int, size: int, stride=1, padding=0) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, features, size, stride, padding, bias=False)


def relu(slope: float = 0.0) -> nn.Module:
    return nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)
