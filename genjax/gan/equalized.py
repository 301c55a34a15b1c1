"""Layers with equalised learning rates: Karras et al. 2018 (arXiv:1710.10196), §4.1.

Every weight is drawn from N(0, 1) and divided by the square root of its fan-in each time that it is
used, not once at the start. Adam moves all weights by the same amount, so that all of them then
learn at the same speed, whatever their layer's width. As in StyleGAN2 (arXiv:1912.04958), which
also has layers that learn slower by a factor `rate`.
"""

import flax.linen as nn
import jax.numpy as jnp

from genjax.nn import conv as convolution
from genjax.nn import resample
from genjax.nn.sums import with_bias

GAIN = 2**0.5  # of the activation; it keeps the variance of a ReLU's inputs, and nearly of a leaky


def activate(x, gain: float = 1.0):
    """LeakyReLU with slope 0.2, times the square root of 2 and `gain`."""
    return nn.leaky_relu(x, 0.2) * (GAIN * gain)


class EqualDense(nn.Module):
    """A linear layer f[B, N] -> f[B, features].

    Attributes:
      rate: how fast it learns, beside other layers: kernel and bias are multiplied by it, and the
        kernel starts as much larger.
      bias_init: the bias' first value.
    """

    features: int
    rate: float = 1.0
    bias_init: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        inputs = x.shape[-1]
        normal = nn.initializers.normal(1 / self.rate)
        kernel = self.param("kernel", normal, (inputs, self.features))
        bias = self.param("bias", nn.initializers.constant(self.bias_init), (self.features,))
        y = x.astype(self.dtype) @ (kernel * (self.rate / inputs**0.5)).astype(self.dtype)
        return with_bias(y, (bias * self.rate).astype(self.dtype))


class EqualConv(nn.Module):
    """A convolution f[B, H, W, C] -> f[B, H', W', features] of the same size, twice or half it.

    Attributes:
      kernel_size: 1 or 3.
      resample: "up" or "down", with the filter of `genjax.nn.resample`; "" for neither.
    """

    features: int
    kernel_size: int
    resample: str = ""
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        size, channels = self.kernel_size, x.shape[-1]
        shape = (size, size, channels, self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape)
        kernel = (kernel / (channels * size * size) ** 0.5).astype(self.dtype)
        y = _CONVOLUTIONS[self.resample](x.astype(self.dtype), kernel)
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        return with_bias(y, bias)


def conv_same(x, kernel):
    """Convolution f[B, H, W, Cin] -> f[B, H, W, Cout] with a kernel of 1 or 3 pixels a side."""
    edge = (kernel.shape[0] // 2,) * 2
    return convolution.conv(x, kernel, padding=(edge, edge))


def conv_up(x, kernel):
    """f[B, H, W, Cin] -> f[B, 2H, 2W, Cout]: a transposed convolution, then the filter.

    A kernel of one pixel comes before the upsampling, where there are fewer pixels.
    """
    if kernel.shape[0] == 1:
        return resample.upsample(conv_same(x, kernel))
    return 4 * resample.smooth(convolution.conv_transpose(x, kernel, stride=2), (1, 1))


def conv_down(x, kernel):
    """f[B, H, W, Cin] -> f[B, H / 2, W / 2, Cout]: the filter, then a strided convolution."""
    if kernel.shape[0] == 1:
        return conv_same(resample.downsample(x), kernel)
    return convolution.conv(resample.smooth(x, (2, 2)), kernel, stride=2)


_CONVOLUTIONS = {"": conv_same, "up": conv_up, "down": conv_down}
