"""The synthesis network of StyleGAN2: Karras et al. 2020 (arXiv:1912.04958), Figures 2 and 7."""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from genjax.gan.equalized import EqualConv
from genjax.gan.modulation import StyledConv, ToPixels
from genjax.nn.resample import upsample

HALF = 0.5**0.5  # of both branches of a residual block, so that their sum keeps its variance


def sizes(size: int) -> list[int]:
    """4, 8, 16, …, `size`: the sides of the pictures inside the networks, in pixels."""
    return [1 << level for level in range(2, size.bit_length())]


def features(size: int, base: int, width: int) -> int:
    """Of layers whose picture has `size` pixels a side: the fewer, the larger it is.

    Args:
      base: the product of features and size, where that gives fewer than `width`; 32,768 in the
        paper, and half as many in StyleGAN2-ADA's settings for small pictures.
      width: the most features, 512.
    """
    return min(base // size, width)


def layers(size: int) -> int:
    """How many styles a picture has: one a convolution, and one for the last layer of pixels."""
    return 2 * len(sizes(size))


class Synthesis(nn.Module):
    """Styles f32[B, layers(size), W] -> images f32[B, size, size, channels]; no tanh bounds them.

    It starts from a learned picture of 4 x 4 pixels. Each further block doubles the size in its
    first convolution, and has a second one.

    Attributes:
      architecture: "skip": each block makes pixels too, which are added up, doubled in size from
        block to block. "resnet": each block has a second branch, and the last one makes pixels.
      axis_name: the mapped axis over which the batch is sharded; None where it is all of it.
    """

    size: int
    channels: int
    base: int
    width: int
    architecture: str = "skip"
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, ws, *, train: bool):
        skips = self.architecture == "skip"
        image = None
        for level, size in enumerate(sizes(self.size)):
            c = features(size, self.base, self.width)
            layer = partial(StyledConv, c, axis_name=self.axis_name, dtype=self.dtype)
            if level == 0:
                x = self.param("const", nn.initializers.normal(1.0), (4, 4, c))
                x = jnp.broadcast_to(x[None], (ws.shape[0], 4, 4, c)).astype(self.dtype)
                x = layer(name="conv_4")(x, ws[:, 0], train=train)
            else:
                y = layer(up=True, name=f"up_{size}")(x, ws[:, 2 * level - 1], train=train)
                gain = 1.0 if skips else HALF
                y = layer(name=f"conv_{size}")(y, ws[:, 2 * level], train=train, gain=gain)
                if not skips:
                    shortcut = EqualConv(c, 1, "up", False, self.dtype, name=f"shortcut_{size}")
                    y += HALF * shortcut(x)
                x = y
            if skips or size == self.size:
                # The style of the convolution that comes next, if one does.
                style = ws[:, 2 * level + 1]
                pixels = ToPixels(self.channels, self.dtype, name=f"pixels_{size}")(x, style)
                image = pixels if image is None else upsample(image) + pixels
        return image
