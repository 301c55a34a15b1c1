"""The convolution of networks with published weights: BatchNorm is in its kernel and bias."""

from collections.abc import Mapping

import jax


def conv(x: jax.Array, layer: Mapping, stride: int, padding) -> jax.Array:
    """f32[B, h, w, Cout] of images f32[B, H, W, Cin].

    Args:
      layer: "kernel" f32[H, W, Cin, Cout] and "bias" f32[Cout].
      padding: as `jax.lax.conv_general_dilated` takes it.
    """
    strides, numbers = (stride, stride), ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(
        x, layer["kernel"], strides, padding, dimension_numbers=numbers
    )
    return y + layer["bias"][None, None, None]
