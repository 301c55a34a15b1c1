"""SAGAN: residual networks with self-attention (Zhang et al. 2019, arXiv:1805.08318).

As in PyTorch-StudioGAN, whose CIFAR-10 scores are published: the layout of SNGAN's residual
networks (`resnet.py`) with nearest doubling, spectral norms in both networks, orthogonal initial
values, class-conditional BatchNorm and a projection discriminator; attention where sides are half
the image's (16 px of 32, 64 of 128). With ten classes, 32 px in colour, 128 latents and `width` 64,
the generator has 4,386,308 parameters and the discriminator 1,075,586.
"""

from functools import partial

import flax.linen as nn

from genjax.gan import blocks
from genjax.nn import SpectralNorm

_ORTHOGONAL = nn.initializers.orthogonal()
_SPECTRAL = partial(SpectralNorm, epsilon=1e-6)

# How StudioGAN makes layers of networks with spectral norms; its BigGAN (`biggan.py`) has the same.
STUDIOGAN = {
    "kernel_init": _ORTHOGONAL,
    "residual_init": _ORTHOGONAL,
    "kernel_norm": _SPECTRAL,
    "condition_norm": _SPECTRAL,
    "scale_init": _ORTHOGONAL,
    "bias_init": _ORTHOGONAL,
    "epsilon": 1e-4,
}


def networks(model, shape: tuple[int, int, int], classes: int = 0, **common):
    """(Generator, Discriminator) for images of `shape`; arguments and errors as `biggan.networks`.

    Of `model`, `width` is read.
    """
    size, channels = blocks.check_size("sagan", shape)
    blocks.check_classes("sagan", classes)
    layers = blocks.Layers(**STUDIOGAN, **common)
    generator = blocks.Generator(
        channels,
        blocks.times(model.width, blocks.generator_widths(size, of_64=(16, 8, 4, 2, 1))),
        layers,
        classes,
        attention=True,
    )
    discriminator = blocks.Discriminator(
        blocks.times(model.width, blocks.discriminator_widths(size)),
        blocks.halvings(size),
        layers,
        wide=True,
        classes=classes,
        condition="projection",
        attention=True,
    )
    return generator, discriminator
