"""Linen layers over `genjax.nn.conv`, by their ordinary names and with padding in pixels."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp

from genjax.nn import conv as convolution

# Parameters, statistics and norms stay float32; `dtype` is the type of the arithmetic.


class Conv(nn.Module):
    """Convolution f[B, H, W, C] -> f[B, H', W', features]; see `genjax.nn.conv.conv`."""

    features: int
    kernel_size: int
    stride: int = 1
    padding: int = 0
    use_bias: bool = True
    kernel_init: Callable = nn.initializers.lecun_normal()
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        kernel, bias = _parameters(self, x.shape[-1])
        edge = (self.padding, self.padding)
        y = convolution.conv(
            x.astype(self.dtype), kernel.astype(self.dtype), self.stride, (edge, edge)
        )
        return y if bias is None else y + bias.astype(self.dtype)[None, None, None]


class ConvTranspose(nn.Module):
    """Transposed convolution f[B, H, W, C] -> f[B, H', W', features], as in PyTorch; see
    `genjax.nn.conv.conv_transpose`."""

    features: int
    kernel_size: int
    stride: int = 1
    padding: int = 0
    use_bias: bool = True
    kernel_init: Callable = nn.initializers.lecun_normal()
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        kernel, bias = _parameters(self, x.shape[-1])
        y = convolution.conv_transpose(
            x.astype(self.dtype), kernel.astype(self.dtype), self.stride, self.padding
        )
        return y if bias is None else y + bias.astype(self.dtype)[None, None, None]


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167) in float32.

    With `axis_name`, the statistics are those of the global batch, as they are without it when the
    batch is sharded by `jit`. `train=False` uses the running averages.

    Attributes:
      momentum: weight of the old running average; 0.9 is PyTorch's 0.1.
      axis_name: the mapped axis over which the batch is divided, if any.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    scale_init: Callable = nn.initializers.ones
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, train: bool):
        return nn.BatchNorm(
            use_running_average=not train,
            momentum=self.momentum,
            epsilon=self.epsilon,
            scale_init=self.scale_init,
            axis_name=self.axis_name,
            dtype=self.dtype,
        )(x)


def max_pool(x):
    """Maximum over windows of 2 x 2 pixels, f[B, H, W, C] -> f[B, H // 2, W // 2, C].

    Its gradient goes to the window's first maximum in reading order, as the native operation's
    does. Written as comparisons of strided slices because XLA's CPU backend runs the native
    gradient (select-and-scatter) as a naive loop.
    """
    h, w = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    top = _first_larger(x[:, :h:2, :w:2], x[:, :h:2, 1:w:2])
    bottom = _first_larger(x[:, 1:h:2, :w:2], x[:, 1:h:2, 1:w:2])
    return _first_larger(top, bottom)


def average_pool(x):
    """Mean over windows of 2 x 2 pixels, f[B, H, W, C] -> f[B, H // 2, W // 2, C]."""
    b, h, w, c = x.shape
    h, w = h // 2, w // 2
    return x[:, : 2 * h, : 2 * w].reshape(b, h, 2, w, 2, c).mean((2, 4))


def _first_larger(a, b):
    return jnp.where(a >= b, a, b)


def _parameters(module, channels: int):
    """Kernel f32[k, k, channels, features] and, where used, bias f32[features]."""
    size = module.kernel_size
    kernel = module.param("kernel", module.kernel_init, (size, size, channels, module.features))
    if not module.use_bias:
        return kernel, None
    return kernel, module.param("bias", nn.initializers.zeros, (module.features,))
