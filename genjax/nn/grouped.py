"""Grouped convolution, whose value and gradients are fast on every backend.

Channels fall into groups, each of which has a convolution of its own (Xie et al. 2017,
arXiv:1611.05431). XLA's CPU backend compiles its gradients to naive loops. There a few groups are
one convolution of all channels, with zeros between groups: as many times more multiplications,
each at several times the speed, because products are larger and minimal filtering takes fewer of
them. Many groups are a sum of products of matrices, one for each group and place in the kernel,
without copies of windows. Every derivative of either is the same again, to any order.
"""

import jax
import jax.numpy as jnp

from genjax.nn import conv as convolution
from genjax.nn.backend import spelled_out

# At most so many groups are one convolution on the CPU. With 4 groups of 16 channels at 32 x 32 px
# it is 2.6 times as fast as products, with its gradients (docs/results.md).
_FEW = 16


def grouped_conv(x, kernel):
    """Convolution f[B, H, W, G Cin] -> f[B, H, W, G Cout] that keeps the size, G groups.

    Args:
      kernel: f[k, k, Cin, G Cout], k odd; channels of a group stand together, in both images.
    """
    size, _, inputs, outputs = kernel.shape
    groups = x.shape[-1] // inputs
    edge = (size // 2, size // 2)
    if not spelled_out():
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (1, 1),
            (edge, edge),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )
    if groups <= _FEW:
        return convolution.conv(x, _with_zeros(kernel, groups), padding=(edge, edge))
    b, h, w, _ = x.shape
    x = jnp.pad(x, ((0, 0), edge, edge, (0, 0)))
    x = jnp.moveaxis(x.reshape(b, h + size - 1, w + size - 1, groups, inputs), 3, 0)
    kernel = kernel.reshape(size, size, inputs, groups, outputs // groups)
    kernel = jnp.moveaxis(kernel, 3, 0)
    products = [
        x[:, :, i : i + h, j : j + w].reshape(groups, -1, inputs) @ kernel[:, i, j]
        for i in range(size)
        for j in range(size)
    ]
    return jnp.moveaxis(sum(products), 0, 1).reshape(b, h, w, outputs)


def _with_zeros(kernel, groups: int):
    """f[k, k, Cin, G Cout] -> f[k, k, G Cin, G Cout], 0 between channels of two groups."""
    size, _, inputs, outputs = kernel.shape
    of_groups = kernel.reshape(size, size, 1, inputs, groups, outputs // groups)
    same = jnp.eye(groups, dtype=kernel.dtype).reshape(1, 1, groups, 1, groups, 1)
    return (of_groups * same).reshape(size, size, groups * inputs, outputs)
