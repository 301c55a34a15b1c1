"""BigGAN: Brock, Donahue and Simonyan 2019 (arXiv:1809.11096), in its two public settings.

The paper has no setting for CIFAR-10. Two are public, each with its own scores, and are not to be
mixed. Both have spectral norms in both networks, nearest doubling and a projection discriminator.

- `networks`: the CIFAR-10 script of the author's BigGAN-PyTorch, which DiffAugment and LeCam also
  start from. Each BatchNorm embeds the class by itself, without a spectral norm; initial values
  from N(0, 0.02²); no attention. With ten classes, 32 px in colour, 128 latents and `width` 64, the
  generator has 4,304,387 parameters and the discriminator 4,207,361.
- `studiogan_networks`: PyTorch-StudioGAN's. One embedding of 128 numbers for all BatchNorms, beside
  a part of z for each block; attention; orthogonal initial values. With 80 latents and `width` 96,
  9,416,196 and 2,415,170 parameters.
"""

import flax.linen as nn

from genjax.errors import UserError
from genjax.gan import blocks, sagan
from genjax.gan.classes import check_classes
from genjax.nn import SpectralNorm

_NORMAL = nn.initializers.normal(0.02)
_AUTHORS = {
    "kernel_init": _NORMAL,
    "residual_init": _NORMAL,
    "kernel_norm": SpectralNorm,
    "scale_init": _NORMAL,
    "bias_init": _NORMAL,
}


def networks(model, shape: tuple[int, int, int], classes: int = 0, **common):
    """(Generator, Discriminator) of the author's script, for images of `shape` (H, W, C).

    Args:
      model: of the config; `width` is read.
      classes: of the data.
      common: `axis_name` and `dtype`.

    Raises:
      UserError: the images are not squares of 8, 16, 32, 64 or 128 px, or the data have no classes.
    """
    size, channels = blocks.check_size("biggan", shape)
    check_classes("biggan", classes, sagan.UNCONDITIONAL)
    layers = blocks.Layers(**_AUTHORS, **common)
    generator = blocks.Generator(
        channels,
        blocks.times(model.width, blocks.generator_widths(size, of_64=(16, 16, 8, 4, 2))),
        layers,
        classes,
    )
    widths = blocks.times(model.width, blocks.discriminator_widths(size, small=4))
    return generator, blocks.projection_discriminator(size, widths, layers, classes)


def studiogan_networks(model, shape: tuple[int, int, int], classes: int = 0, **common):
    """As `networks`, of StudioGAN: those of its SAGAN, with latents for each block.

    Args:
      model: of the config; `width`, `latent`, and `shared`, the length of the embedding, are read.

    Raises:
      UserError: as for `networks`, or the latents do not divide into equal parts.
    """
    generator, discriminator = sagan.studiogan_networks(
        "biggan", model, shape, classes, model.shared, **common
    )
    parts = len(generator.features)
    if model.latent % parts:
        raise UserError(
            f"model.latent={model.latent} has to be a multiple of {parts}: each block has an"
            " equal part of it, and so have the first pixels"
        )
    return generator, discriminator
