"""Convolutions whose kernels a style scales: Karras et al. 2020 (arXiv:1912.04958), §2.2."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax import rng
from genjax.gan.equalized import EqualDense, activate, conv_same, conv_up
from genjax.nn.sums import materialise, with_bias

_EPSILON = 1e-8


def modulated_conv(x, kernel, style, *, demodulate: bool = True, up: bool = False):
    """Convolution with a kernel for each example: f[B, H, W, Cin] -> f[B, H', W', Cout].

    Example b's kernel is w' = style[b] * kernel along Cin (eq. 1) and, with `demodulate`, w' over
    the root of the sum of its squares for each output (eq. 3), so that outputs keep the variance of
    the inputs. Computed the cheaper way of the paper's appendix B: one convolution for all
    examples, with its input scaled by the style and its output by the roots.

    Args:
      kernel: f32[k, k, Cin, Cout], k 1 or 3.
      style: f32[B, Cin].
      up: whether the image is doubled in size (`equalized.conv_up`).
    """
    dtype = x.dtype
    convolve = conv_up if up else conv_same
    y = materialise(convolve(x * style[:, None, None].astype(dtype), kernel.astype(dtype)))
    if demodulate:
        squares = jnp.square(style) @ jnp.square(kernel).sum((0, 1))
        y = y * jax.lax.rsqrt(squares + _EPSILON)[:, None, None].astype(dtype)
    return y


class StyledConv(nn.Module):
    """A layer of synthesis: f[B, H, W, C] and styles f32[B, W] -> f[B, H', W', features].

    A modulated convolution of 3 x 3 pixels, noise, bias and activation. Noise is one number for
    each example and pixel, times a learned strength that starts at 0. In training it is new each
    time, from the key of Linen's random stream `noise`; otherwise it is the layer's own, from the
    collection `buffers`, so that a picture is a function of its styles alone.

    Attributes:
      up: whether it doubles the image's size.
      axis_name: the mapped axis over which the batch is sharded; None where it is all of it.
    """

    features: int
    up: bool = False
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, w, *, train: bool, gain: float = 1.0):
        channels = x.shape[-1]
        style = EqualDense(channels, bias_init=1.0, name="affine")(w)
        shape = (3, 3, channels, self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape)
        y = modulated_conv(x.astype(self.dtype), kernel, style, up=self.up)
        strength = self.param("noise_strength", nn.initializers.zeros, ())
        # Materialised, or it would be drawn again for each feature, and again for gradients.
        noise = (strength * materialise(self._noise(y.shape, train))).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        return activate(with_bias(y + noise, bias), gain)

    def _noise(self, shape, train: bool):
        """f32[B, H, W, 1] of N(0, 1)."""
        size = shape[1:3]
        own = self.variable("buffers", "noise", self._draw, size).value
        if not train:
            return jnp.broadcast_to(own[None, :, :, None], (shape[0], *size, 1))
        return rng.normal(self.make_rng("noise"), shape[0], (*size, 1), self.axis_name)

    def _draw(self, size):
        return jax.random.normal(self.make_rng("params"), size)


class ToPixels(nn.Module):
    """f[B, H, W, C] and styles f32[B, W] -> pixels f32[B, H, W, features].

    A modulated convolution of one pixel without demodulation; a bias, no activation.
    """

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, w):
        channels = x.shape[-1]
        style = EqualDense(channels, bias_init=1.0, name="affine")(w) / channels**0.5
        shape = (1, 1, channels, self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape)
        y = modulated_conv(x.astype(self.dtype), kernel, style, demodulate=False)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return with_bias(y.astype(jnp.float32), bias)
