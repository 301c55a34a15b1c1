"""Mixtures of discretised logistics: a likelihood of 8-bit colours, one pixel at a time.

Salimans et al. 2017 (PixelCNN++, arXiv:1701.05517, §2.1 and 2.2), with the limits of openai/vdvae.
For each pixel and each of M mixtures there are a logit, a mean and a log-scale of each channel and
three coefficients, by which the means of green and blue follow the channels before them. A grey
picture has one channel and no coefficients. Channels are scaled to [-1, 1]. A level of 8 bits is an
interval of 2 / 255; black and white have all that lies beyond them as well.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

COLOURS = 3  # channels of a picture with coefficients
_HALF = 1 / 255  # of a level's interval
_LEAST_SCALE = -7.0  # its logarithm
_FLAT = 1e-5  # probabilities below it are computed as density times width
_MARGIN = 1e-5  # uniform numbers stay so far from 0 and 1


class Mixture(NamedTuple):
    """What a network says of each pixel.

    Attributes:
      logits: f32[..., M], of the mixtures.
      means, log_scales: f32[..., C, M], of 3 channels or of 1.
      coefficients: f32[..., 3, M], in [-1, 1]: of red for green and for blue, of green for blue;
        f32[..., 0, M] of a grey picture.
    """

    logits: jax.Array
    means: jax.Array
    log_scales: jax.Array
    coefficients: jax.Array


def features(mixtures: int, channels: int = COLOURS) -> int:
    """How many numbers a pixel of 3 or 1 channels takes."""
    return (1 + _kinds(channels) * channels) * mixtures


def _kinds(channels: int) -> int:
    """How many kinds of numbers a channel has: a mean, a log-scale, and in colour a coefficient."""
    return 3 if channels == COLOURS else 2


def read(outputs, mixtures: int, channels: int = COLOURS) -> Mixture:
    """The mixtures of a network's outputs f32[..., 10 M], or f32[..., 3 M] of a grey picture.

    Logits, then for each channel its means, log-scales and, in colour, coefficients.
    """
    logits, rest = outputs[..., :mixtures], outputs[..., mixtures:]
    rest = rest.reshape(*rest.shape[:-1], channels, _kinds(channels), mixtures)
    means, log_scales = rest[..., 0, :], rest[..., 1, :]
    coefficients = rest[..., 2, :] if channels == COLOURS else rest[..., :0, 0, :]
    return Mixture(logits, means, jnp.maximum(log_scales, _LEAST_SCALE), jnp.tanh(coefficients))


def log_prob(mixture: Mixture, x):
    """log p(x) f32[...] of pixels f32[..., C] in [-1, 1], in nats a pixel.

    x is one of 256 levels a channel, (u - 127.5) / 127.5.
    """
    values, means = x[..., None], mixture.means
    if x.shape[-1] == COLOURS:
        of_green, of_blue, of_both = (mixture.coefficients[..., c, :] for c in range(COLOURS))
        red, green = values[..., 0, :], values[..., 1, :]
        shifts = [jnp.zeros_like(of_green), of_green * red, of_blue * red + of_both * green]
        means = means + jnp.stack(shifts, -2)
    each = _log_level(values, means, mixture.log_scales).sum(-2)
    return jax.nn.logsumexp(each + jax.nn.log_softmax(mixture.logits), axis=-1)


def _log_level(x, mean, log_scale):
    """log of a logistic's probability of the level at x, f32[...], elementwise."""
    inverse = jnp.exp(-log_scale)
    centred = x - mean
    upper, lower = inverse * (centred + _HALF), inverse * (centred - _HALF)
    middle = inverse * centred
    share = jax.nn.sigmoid(upper) - jax.nn.sigmoid(lower)
    # Far from the mean the difference is nothing but rounding.
    density = middle - log_scale - 2 * jax.nn.softplus(middle) + jnp.log(2 * _HALF)
    inner = jnp.where(share > _FLAT, jnp.log(jnp.maximum(share, 1e-12)), density)
    black, white = -jax.nn.softplus(-upper), -jax.nn.softplus(lower)
    return jnp.where(x < -0.999, black, jnp.where(x > 0.999, white, inner))


def sample(mixture: Mixture, key):
    """Pixels f32[..., C] in [-1, 1]: a mixture is drawn, then red, green and blue, each clipped."""
    key_m, key_c = jax.random.split(key)
    shape = mixture.logits.shape
    u = jax.random.uniform(key_m, shape, minval=_MARGIN, maxval=1 - _MARGIN)
    chosen = jnp.argmax(mixture.logits - jnp.log(-jnp.log(u)), axis=-1)[..., None, None]
    means, log_scales, coefficients = (
        jnp.take_along_axis(x, chosen, axis=-1)[..., 0] for x in mixture[1:]
    )
    u = jax.random.uniform(key_c, means.shape, minval=_MARGIN, maxval=1 - _MARGIN)
    drawn = means + jnp.exp(log_scales) * (jnp.log(u) - jnp.log1p(-u))
    if means.shape[-1] != COLOURS:
        return jnp.clip(drawn, -1, 1)
    of_green, of_blue, of_both = (coefficients[..., c] for c in range(COLOURS))
    red = jnp.clip(drawn[..., 0], -1, 1)
    green = jnp.clip(drawn[..., 1] + of_green * red, -1, 1)
    blue = jnp.clip(drawn[..., 2] + of_blue * red + of_both * green, -1, 1)
    return jnp.stack([red, green, blue], -1)
