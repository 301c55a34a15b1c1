"""How far normal distributions of features are apart, in PyTorch: `genjax.style.wasserstein`."""

import torch

_EPSILON = 1e-4  # on the diagonals of covariances
_STEPS = 12  # of the iterations


class _TraceOfRoot(torch.autograd.Function):
    """f[B, C, C], symmetric and positive definite, -> f[B]: the traces of their square roots.

    The root comes from Newton and Schulz's iteration, the gradient from that of Lin and Maji 2017
    (arXiv:1707.06772): products alone, which is quicker than eigenvalues on every device.
    """

    @staticmethod
    def forward(context, a):
        found = root(a)
        context.save_for_backward(found)
        return found.diagonal(dim1=1, dim2=2).sum(1)

    @staticmethod
    def backward(context, g):
        (found,) = context.saved_tensors
        size, eye = found.norm(dim=(1, 2), keepdim=True), _eye(found)
        a, q = found / size, g[:, None, None] * eye / size
        for _ in range(_STEPS):
            left = 1.5 * eye - 0.5 * (a @ a)
            a, q = a @ left, q @ left
        return 0.5 * q


def root(a):
    """The square roots of symmetric positive definite matrices f[B, C, C]."""
    size, eye = a.norm(dim=(1, 2), keepdim=True), _eye(a)
    y, z = a / size, eye.expand_as(a)
    for _ in range(_STEPS):
        t = 1.5 * eye - 0.5 * (z @ y)
        y, z = y @ t, t @ z
    return y * size.sqrt()


class Target:
    """A style's normal distribution; called with a picture's moments, the distance to it.

    Both terms are means over the channels.

    Args:
      mean, second: means f[1, C] and second moments f[1, C, C] over the pixels.
    """

    def __init__(self, mean, second):
        self.mean, self.covariance = mean, _covariance(mean, second)
        self.root = root(self.covariance)

    def __call__(self, mean, second):
        covariance = _covariance(mean, second)
        between = _TraceOfRoot.apply(self.root @ covariance @ self.root)
        both = (self.covariance + covariance).diagonal(dim1=1, dim2=2).sum(1)
        spread = (both - 2 * between) / covariance.shape[-1]
        return ((mean - self.mean).square().mean(1) + spread).sum()


def _covariance(mean, second):
    return second - mean[:, :, None] * mean[:, None] + _EPSILON * _eye(second)


def _eye(a):
    return torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)[None]
