"""Colours kept or exchanged: whose colours a stylised picture has, the style's or the content's.

Gatys, Bethge, Hertzmann and Shechtman 2016 (arXiv:1606.05897) keep a content's colours in two ways:
the style picture gets them before the transfer (`matched`), or the transfer is of lightness alone,
and the content's colours are put back (`grey`, `with_colours_of`). Pictures are RGB in [0, 1].
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax import images
from genjax.config import choose

# NTSC's luminance and its two colour axes, of RGB as it is stored.
_YIQ = np.array(
    [
        [0.299, 0.587, 0.114],
        [0.59590059, -0.27455667, -0.32134392],
        [0.21153661, -0.52273617, 0.31119955],
    ]
)

# Ottosson 2020 (bottosson.github.io/posts/oklab): linear sRGB to the answers of three kinds of
# cones, and their cube roots to lightness, green to red, and blue to yellow.
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)

# A variance below this share of the largest one is rounding: those of 8 bits are beyond.
_FLAT = 1e-9


def transformed(matrix: np.ndarray, x: jax.Array) -> jax.Array:
    """f32[..., 3]: the matrix f[3, 3] times each pixel of x f32[..., 3]."""
    return jnp.einsum("...c,dc->...d", x, jnp.asarray(matrix, jnp.float32), precision="highest")


def to_yiq(rgb: jax.Array) -> jax.Array:
    """YIQ f32[..., 3] of RGB f32[..., 3]."""
    return transformed(_YIQ, rgb)


def from_yiq(yiq: jax.Array) -> jax.Array:
    """RGB f32[..., 3], not clipped; the inverse of `to_yiq`."""
    return transformed(np.linalg.inv(_YIQ), yiq)


def to_oklab(rgb: jax.Array) -> jax.Array:
    """OKLab f32[..., 3] of sRGB f32[..., 3] in [0, 1]: lightness in [0, 1], and two colour axes."""
    power = ((jnp.maximum(rgb, 0.04045) + 0.055) / 1.055) ** 2.4
    linear = jnp.where(rgb <= 0.04045, rgb / 12.92, power)
    return transformed(_LAB, jnp.cbrt(transformed(_CONES, linear)))


def from_oklab(lab: jax.Array) -> jax.Array:
    """sRGB f32[..., 3], not clipped; the inverse of `to_oklab`."""
    linear = transformed(np.linalg.inv(_CONES), transformed(np.linalg.inv(_LAB), lab) ** 3)
    root = 1.055 * jnp.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return jnp.where(linear <= 0.0031308, 12.92 * linear, root)


class Space(NamedTuple):
    """A colour space whose first coordinate is lightness and whose others are 0 for greys.

    Attributes:
      of: RGB f32[..., 3] to its coordinates f32[..., 3].
      back: the inverse.
    """

    of: Callable[[jax.Array], jax.Array]
    back: Callable[[jax.Array], jax.Array]


SPACES = {"luminance": Space(to_yiq, from_yiq), "oklab": Space(to_oklab, from_oklab)}


def grey(space: Space, lightness: jax.Array) -> jax.Array:
    """RGB f32[..., 3] without colour, of a lightness f32[...] in `space`."""
    nothing = jnp.zeros_like(lightness)
    return space.back(jnp.stack([lightness, nothing, nothing], axis=-1))


def with_colours_of(space: Space, picture: jax.Array, coloured: jax.Array) -> jax.Array:
    """The lightness of `picture` with the colours of `coloured`, all RGB f32[..., 3]; not clipped.

    Gatys et al. 2016 (arXiv:1606.05897), section 5.2 of luminance-only transfer.
    """
    lightness = space.of(picture)[..., :1]
    return space.back(jnp.concatenate([lightness, space.of(coloured)[..., 1:]], axis=-1))


def matched(x: np.ndarray, target: np.ndarray, ridge: float = 0.0) -> np.ndarray:
    """`x` with the mean and the covariance of `target`, over all but the last axis.

    Gatys et al. 2016 (arXiv:1606.05897), section 5.1, and Hertzmann et al. 2001: each value becomes
    A (x - mean of x) + mean of target, with A = S^1/2 R^-1/2 of the covariances S of `target` and
    R of `x`; roots are symmetric, by eigenvalues. Where the values of `x` do not vary at all in
    some direction, A leaves them there.

    Args:
      x: f[..., C]; target: f[..., C], of any other shape.
      ridge: is added to the variances of both, so that A makes little of what hardly varies.

    Returns:
      f64[..., C], not clipped.
    """
    mean, covariance = _moments(x)
    wanted_mean, wanted = _moments(target)
    added = ridge * np.eye(len(mean))
    change = _power(wanted + added, 0.5) @ _power(covariance + added, -0.5)
    return (np.asarray(x, np.float64) - mean) @ change.T + wanted_mean


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    flat = np.asarray(x, np.float64).reshape(-1, x.shape[-1])
    mean = flat.mean(axis=0)
    return mean, (flat - mean).T @ (flat - mean) / len(flat)


def _power(covariance: np.ndarray, exponent: float) -> np.ndarray:
    """The symmetric power of a covariance; eigenvalues that are 0 to rounding stay 0."""
    values, vectors = np.linalg.eigh(covariance)
    varies = values > _FLAT * max(values[-1], _FLAT)
    powers = np.where(varies, np.where(varies, values, 1.0) ** exponent, 0.0)
    return (vectors * powers) @ vectors.T


def _of_style(contents, styles):
    return contents, styles


def _by_match(contents, styles):
    return contents, [_bytes(matched(style / 255, contents / 255)) for style in styles]


def _by_lightness(space: Space):
    def prepare(contents, styles):
        of_contents, *of_styles = [
            np.asarray(space.of(images.to_float(jnp.asarray(x), low=0)))[..., :1]
            for x in (contents, *styles)
        ]
        lightness = [of_contents, *(matched(x, of_contents) for x in of_styles)]
        greys = [_bytes(grey(space, jnp.asarray(x[..., 0], jnp.float32))) for x in lightness]
        return greys[0], greys[1:]

    return prepare


# How a style run is given colours: what it does with its pictures before anything else.
COLOURS = {
    "style": _of_style,
    "match": _by_match,
    **{name: _by_lightness(space) for name, space in SPACES.items()},
}


def prepared(
    how: str, contents: np.ndarray, styles: Sequence[np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Contents and styles as a style run with `color=how` compares them.

    Args:
      how: "style" changes nothing. "match" gives each style the mean and covariance of the colours
        of all contents together. "luminance" (YIQ) and "oklab" make all pictures grey, and give the
        styles the mean and deviation of the contents' lightness; the colours of a content come back
        by `with_colours_of` with the space of that name.
      contents: u8[B, H, W, 3]; styles: u8[1, h, w, 3] each.

    Returns:
      The same shapes and types; what lies outside of the 8 bits is clipped.

    Raises:
      UserError: there is no such way.
    """
    return choose("color", how, COLOURS)(contents, styles)


def _bytes(picture) -> np.ndarray:
    return np.asarray(images.to_uint8(jnp.asarray(picture, jnp.float32), low=0))
