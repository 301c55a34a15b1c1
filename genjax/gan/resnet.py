"""SNGAN's residual networks, and those of WGAN-GP, SSGAN, AC-GAN and the projection GAN.

Miyato et al. 2018 (arXiv:1802.05957), Table 4, and Miyato and Koyama 2018 (arXiv:1802.05637), as
kwotsin/mimicry has them, whose scores are published: bilinear doubling, Xavier's uniform initial
values, times sqrt(2) in residual branches. At 32 px in colour, with 128 latents and `width` 64, the
generator has 4,276,739 parameters and the discriminator 1,053,825; with ten classes and
`condition="projection"`, 4,304,387 and 1,055,105. Widths at 64 and 128 px are those of the authors'
code, pfnet-research/sngan_projection; at 8 and 16 px there are fewer blocks than at 32.
"""

from functools import partial

import flax.linen as nn

from genjax.config import choose
from genjax.errors import UserError
from genjax.gan import blocks
from genjax.gan.classes import known_classes
from genjax.nn import SpectralNorm
from genjax.nn.upsample import bilinear

_XAVIER = {
    "kernel_init": nn.initializers.xavier_uniform(),
    "residual_init": nn.initializers.variance_scaling(2.0, "fan_avg", "uniform"),
}

# {model.norm: of the discriminator (kernel_norm, batch_norm)}.
_NORMS = {"spectral": (SpectralNorm, False), "none": (None, False), "batch": (None, True)}

_CHOICES = {
    "norm": tuple(_NORMS),
    "condition": ("none", "projection", "auxiliary"),
    "pool": ("sum", "mean"),
    "head": ("none", "rotation"),
}


def networks(model, shape: tuple[int, int, int], classes: int = 0, **common):
    """(Generator, Discriminator) for images of `shape` (H, W, C).

    Args:
      model: of the config. `width`: the published networks' is 64. Of the discriminator, `norm`:
        "spectral", "none" (WGAN-GP) or "batch" (StudioGAN's networks without spectral norms);
        `pool`: "sum" or "mean" over its last pixels; `head`: "none", or "rotation" for another
        output (SSGAN). `condition`: "none"; "projection"; or "auxiliary" for a discriminator that
        classifies (`blocks.Discriminator`). Of a conditional generator, each BatchNorm has a scale
        and a bias for each class, but the last one.
      classes: of the data.
      common: `axis_name` and `dtype`.

    Raises:
      UserError: the images are not squares of 8, 16, 32, 64 or 128 px, a value is unknown, or a
        condition needs classes and the data have none.
    """
    size, channels = blocks.check_size("resnet", shape)
    for key, known in _CHOICES.items():
        choose(f"model.{key}", model[key], dict.fromkeys(known))
    classes = known_classes(model, classes)
    if model.condition == "auxiliary" and model.head == "rotation":
        raise UserError(
            "model.head='rotation' and model.condition='auxiliary' both add an output to the"
            " discriminator: use model.condition=projection with rotations"
        )
    kernel_norm, batch_norm = _NORMS[model.norm]
    layers = partial(blocks.Layers, **_XAVIER, **common)
    generator = blocks.Generator(
        channels,
        blocks.times(model.width, blocks.generator_widths(size, of_64=(16, 8, 4, 2, 1))),
        layers(scale_init=nn.initializers.normal(0.02)),
        classes,
        upsample=bilinear,
    )
    widths = blocks.times(model.width, blocks.discriminator_widths(size))
    discriminator = blocks.Discriminator(
        widths,
        len(widths) if size == 64 else blocks.halvings(size),
        layers(kernel_norm=kernel_norm),
        classes=classes,
        condition=model.condition,
        rotation=model.head == "rotation",
        mean=model.pool == "mean",
        batch_norm=batch_norm,
    )
    return generator, discriminator
