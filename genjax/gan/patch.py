"""A discriminator of patches: Isola et al. 2017 (arXiv:1611.07004), appendix 6.1.2.

As pix2pix's and VQ-GAN's authors have it: 4 x 4 kernels, BatchNorm in the layers between the first
and the last, initial values N(0, 0.02²), 2,765,633 parameters for colour pictures, `width` 64 and
three layers.
"""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from genjax.errors import UserError
from genjax.gan.dcgan import scale_init
from genjax.nn import BatchNorm, Conv

_KERNEL = nn.initializers.normal(0.02)
_WIDEST = 8  # times `width`
_LEAST = 3  # px, of which the last two layers leave one


def discriminator(
    options, shape: tuple[int, int, int], axis_name=None, dtype=jnp.float32
) -> "PatchDiscriminator":
    """The discriminator of images of `shape` (H, W, C).

    Args:
      options: the config's `discriminator`; `width` and `layers` are read.

    Raises:
      UserError: so many layers leave nothing of pictures of this size.
    """
    most = max((n for n in range(1, 16) if min(shape[:2]) >> n >= _LEAST), default=0)
    if options.layers > most:
        advice = f"discriminator.layers={most}" if most else f"data.size={2 * _LEAST} or more"
        raise UserError(
            f"discriminator.layers={options.layers} leaves nothing of {shape[1]}x{shape[0]} px:"
            f" set {advice}"
        )
    return PatchDiscriminator(options.width, options.layers, axis_name, dtype)


class PatchDiscriminator(nn.Module):
    """Images f32[B, H, W, C] in [-1, 1] -> logits f32[B, h, w] of patches, positive for real.

    h is floor(H / 2^layers) - 2.

    Attributes:
      width: features of the first layer, doubled in each further one, to at most eight times.
      layers: how many halve the sides; one that does not, and the one that makes logits, follow.
    """

    width: int
    layers: int
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, *, train: bool):
        conv = partial(Conv, kernel_size=4, padding=1, kernel_init=_KERNEL, dtype=self.dtype)
        norm = partial(BatchNorm, scale_init=scale_init, axis_name=self.axis_name, dtype=self.dtype)
        x = nn.leaky_relu(conv(self.width, stride=2)(x), 0.2)
        for n in range(1, self.layers + 1):
            stride = 2 if n < self.layers else 1
            x = conv(self.width * min(2**n, _WIDEST), stride=stride, use_bias=False)(x)
            x = nn.leaky_relu(norm()(x, train), 0.2)
        return conv(1)(x).astype(jnp.float32)[..., 0]
