"""Colours of stained tissue: one slide's stains brought to another's, by closed forms.

Laboratories, batches of dye and scanners give the same tissue other colours. Both methods here
find one linear map of colours, in a space where light that passes more dye is a sum: of logarithms.
Where in the picture a colour stands has no say, so that tissue keeps its form to the pixel.
Pictures are RGB in [0, 1], as they are stored.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.errors import UserError
from genjax.style.colours import Space, transformed

_DARKEST = 1 / 255  # black lets through what the least of 8 bits does: logarithms stay finite

# Reinhard et al. 2001, equations 4 and 6: RGB to the answers of three kinds of cones; of their
# logarithms, lightness, yellow to blue, and red to green.
_CONES = np.array(
    [[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]],
)
_LALPHABETA = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, -2.0], [1.0, -1.0, 0.0]])
_LALPHABETA /= np.array([[3.0], [6.0], [2.0]]) ** 0.5

# Macenko et al. 2009, section 2: what lets more light through is no tissue; vectors of stains are
# at these percentiles of the angles, and concentrations are compared at this one.
_TRANSPARENT = 0.15  # optical density: log10
_EXTREMES = (1.0, 99.0)
_LARGEST = 99.0

_LEAST_TISSUE = 16  # pixels
_LEAST_ANGLE = 0.02  # radians between two stains; those in use are ten times as far apart


def to_lalphabeta(rgb: jax.Array) -> jax.Array:
    """Ruderman's space of log10 cone responses f32[..., 3], of RGB f32[..., 3]."""
    cones = transformed(_CONES, jnp.maximum(rgb, _DARKEST))
    return transformed(_LALPHABETA, jnp.log10(cones))


def from_lalphabeta(x: jax.Array) -> jax.Array:
    """RGB f32[..., 3], not clipped; the inverse of `to_lalphabeta`."""
    return transformed(np.linalg.inv(_CONES), 10 ** transformed(np.linalg.inv(_LALPHABETA), x))


def to_density(rgb: jax.Array) -> jax.Array:
    """Optical densities -log10 f32[..., 3] of RGB f32[..., 3], where 1 is all of the light."""
    return -jnp.log10(jnp.maximum(rgb, _DARKEST))


def from_density(density: jax.Array) -> jax.Array:
    """RGB f32[..., 3]; the inverse of `to_density`."""
    return 10**-density


class Change(NamedTuple):
    """A map of colours in a space, x to matrix x + offset: f32[3, 3] and f32[3]."""

    matrix: np.ndarray
    offset: np.ndarray


class Method(NamedTuple):
    """A way to bring one picture's colours to those of others.

    Attributes:
      space: where the map is linear.
      change: `(x f64[N, 3], target f64[M, 3]) -> Change`, of pixels in that space.
    """

    space: Space
    change: Callable[[np.ndarray, np.ndarray], Change]


def reinhard(x: np.ndarray, target: np.ndarray) -> Change:
    """The mean and the deviation of each axis become the target's.

    Reinhard, Ashikhmin, Gooch and Shirley 2001 (IEEE CG&A 21(5), "Color transfer between images"),
    equations 10 and 11. An axis that does not vary stays constant.
    """
    deviation = x.std(axis=0)
    varies = deviation > 0
    scale = np.where(varies, target.std(axis=0) / np.where(varies, deviation, 1.0), 1.0)
    return Change(np.diag(scale), target.mean(axis=0) - scale * x.mean(axis=0))


def macenko(x: np.ndarray, target: np.ndarray) -> Change:
    """Each of two stains becomes the target's, in its colour and in its strength.

    Macenko et al. 2009 (ISBI, "A method for normalizing histology slides for quantitative
    analysis"). A pixel's density is a sum of its stains' vectors, each times how much of the stain
    is there, which least squares tell. These amounts are scaled so that their 99th percentile is
    the target's, and take the target's vectors.

    Raises:
      UserError: as `stain_vectors`.
    """
    vectors, wanted = stain_vectors(x), stain_vectors(target)
    unmix = np.linalg.pinv(vectors)
    amounts = np.percentile(x @ unmix, _LARGEST, axis=0)
    wanted_amounts = np.percentile(target @ np.linalg.pinv(wanted), _LARGEST, axis=0)
    return Change((unmix * (wanted_amounts / amounts) @ wanted).T, np.zeros(3))


def stain_vectors(density: np.ndarray) -> np.ndarray:
    """f64[2, 3]: the densities of two stains, of length 1 each, in pixels f64[N, 3].

    Macenko et al. 2009. The pixels' two main directions span a plane, and the stains are where in
    it nearly all pixels lie between. A pixel is tissue if its density has a length of 0.15. The
    first one is the stain that takes more of the red: hematoxylin, beside eosin or DAB.

    Raises:
      UserError: there is no tissue, or but one stain.
    """
    tissue = density[np.linalg.norm(density, axis=1) >= _TRANSPARENT]
    if len(tissue) < _LEAST_TISSUE:
        raise UserError(
            "a picture has hardly any stained tissue: use one that has, or preset=reinhard"
        )
    _, directions = np.linalg.eigh(tissue.T @ tissue)
    # The first has one sign, as densities do, so that no angle is near the place where they jump.
    first, second = directions[:, 2] * np.sign(directions[:, 2].sum()), directions[:, 1]
    angles = np.percentile(np.arctan2(tissue @ second, tissue @ first), _EXTREMES)
    if np.ptp(angles) < _LEAST_ANGLE:
        raise UserError("a picture shows one stain, where two are needed: use preset=reinhard")
    found = np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second
    return found[np.argsort(-found[:, 0])]


METHODS = {
    "reinhard": Method(Space(to_lalphabeta, from_lalphabeta), reinhard),
    "macenko": Method(Space(to_density, from_density), macenko),
}


def change(method: Method, picture: np.ndarray, targets: list[np.ndarray]) -> Change:
    """The change of f[..., 3] that brings its colours to those of `targets`, f[..., 3] each.

    The pixels of all targets count as one picture's.

    Raises:
      UserError: the method finds no stains in a picture.
    """
    x, *others = (
        np.asarray(method.space.of(jnp.asarray(p, jnp.float32)), np.float64).reshape(-1, 3)
        for p in (picture, *targets)
    )
    return method.change(x, np.concatenate(others))


def changed(space: Space, picture: jax.Array, matrix: jax.Array, offset: jax.Array) -> jax.Array:
    """RGB f32[H, W, 3] after a `Change` in a space; what lies outside of [0, 1] is clipped."""
    x = jnp.einsum("hwc,dc->hwd", space.of(picture), matrix, precision="highest")
    return jnp.clip(space.back(x + offset[None, None]), 0.0, 1.0)
