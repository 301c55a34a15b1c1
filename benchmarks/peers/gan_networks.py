"""Generators and discriminators in PyTorch: the layers of `genjax.gan.dcgan` and `sngan`."""

from torch import nn

from benchmarks.peers.layers import (
    Dense,
    Flatten,
    Float,
    SpectralConv,
    SpectralDense,
    Unflatten,
    conv,
    norm,
    up,
)


def _dcgan(model, shape, channels_last: bool) -> tuple[nn.Module, nn.Module]:
    size, _, channels = shape
    levels, width = size.bit_length() - 4, model.width
    features = [width << level for level in reversed(range(levels + 1))]
    generator = [nn.Unflatten(1, (model.latent, 1, 1)), up(model.latent, features[0], 4)]
    for inputs, outputs in zip(features, [*features[1:], channels], strict=True):
        generator += [norm(inputs), nn.ReLU(inplace=True), up(inputs, outputs, 4, 2, 1)]
    discriminator = [conv(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
    for inputs in features[:0:-1]:
        discriminator += [conv(inputs, 2 * inputs, 4, 2, 1), norm(2 * inputs)]
        discriminator.append(nn.LeakyReLU(0.2, inplace=True))
    discriminator += [conv(width << levels, 1, 4), Float(), nn.Flatten(0)]
    return nn.Sequential(*generator, Float(), nn.Tanh()), nn.Sequential(*discriminator)


def _sngan(model, shape, channels_last: bool) -> tuple[nn.Module, nn.Module]:
    size, _, channels = shape
    levels, width = size.bit_length() - 3, model.width
    smallest = (width << levels, 4, 4)
    order = None if channels_last else smallest
    count = 16 * smallest[0]
    generator = [
        Dense(model.latent, count, bias=False, pixels_out=order),
        Unflatten(smallest, channels_last),
        norm(smallest[0]),
        nn.ReLU(inplace=True),
    ]
    for level in reversed(range(levels)):
        outputs = width << level
        generator += [up(2 * outputs, outputs, 4, 2, 1), norm(outputs), nn.ReLU(inplace=True)]
    generator += [conv(width, channels, 3, 1, 1, bias=True), Float(), nn.Tanh()]

    spectral = model.norm == "spectral"
    conv_kind, dense_kind = (SpectralConv, SpectralDense) if spectral else (nn.Conv2d, Dense)
    discriminator = [conv_kind(channels, width, 3, padding=1), nn.LeakyReLU(0.1, inplace=True)]
    for level in range(1, levels + 1):
        features = width << level
        for layer in (
            conv_kind(features // 2, features, 4, stride=2, padding=1),
            conv_kind(features, features, 3, padding=1),
        ):
            discriminator += [layer, nn.LeakyReLU(0.1, inplace=True)]
    discriminator += [Flatten(channels_last), dense_kind(count, 1, pixels_in=order)]
    return nn.Sequential(*generator), nn.Sequential(*discriminator, Float(), nn.Flatten(0))


# Each makes (generator, discriminator) for images of a shape (H, W, C).
NETWORKS = {"dcgan": _dcgan, "sngan": _sngan}
