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
from genjax.gan.classes import check_classes
from genjax.nn import SpectralNorm

_ORTHOGONAL = nn.initializers.orthogonal()
_SPECTRAL = partial(SpectralNorm, epsilon=1e-6)

UNCONDITIONAL = "train configs/sngan.py:arch=resnet, which needs no classes"

# How StudioGAN makes layers of networks with spectral norms.
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
    return studiogan_networks("sagan", model, shape, classes, **common)


def studiogan_networks(
    network: str, model, shape: tuple[int, int, int], classes: int, shared: int = 0, **common
):
    """StudioGAN's SAGAN or, with a `shared` embedding (of `blocks.Generator`), its BigGAN.

    Errors name `network`.
    """
    size, channels = blocks.check_size(network, shape)
    check_classes(network, classes, UNCONDITIONAL)
    layers = blocks.Layers(**STUDIOGAN, **common)
    generator = blocks.Generator(
        channels,
        blocks.times(model.width, blocks.generator_widths(size, of_64=(16, 8, 4, 2, 1))),
        layers,
        classes,
        shared=shared,
        attention=True,
    )
    widths = blocks.times(model.width, blocks.discriminator_widths(size))
    return generator, blocks.projection_discriminator(size, widths, layers, classes, attention=True)
