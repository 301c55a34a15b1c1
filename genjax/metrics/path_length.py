"""Perceptual path length: how far pictures jump on a short way between two latents.

Karras et al. 2019, arXiv:1812.04948, section 4.1, in the space of normal latents: small where a
generator's pictures change evenly from any latent to any other.
"""

from collections.abc import Callable

import jax
import numpy as np

from genjax.latents import spherical

EPSILON = 1e-4  # the way's length, as a share of that between the two latents
PERCENTILES = (1, 99)  # lengths outside are left out, as the authors' code does


def lengths(decode: Callable, distance: Callable, a, b, t) -> jax.Array:
    """f32[n]: the squared length per unit of the way, at places t of ways from a to b.

    Args:
      decode: f32[n, L] -> pictures.
      distance: (pictures, pictures) -> f32[n], which grows with the square of a small change, as
        LPIPS does.
      a, b, t: as of `spherical`.
    """
    here, there = (decode(spherical(a, b, at)) for at in (t, t + EPSILON))
    return distance(here, there) / EPSILON**2


def score(lengths: np.ndarray) -> tuple[float, float]:
    """The mean of f32[n] without the longest and shortest percent, and its standard error."""
    low, high = np.percentile(lengths, PERCENTILES)
    kept = lengths[(lengths >= low) & (lengths <= high)].astype(np.float64)
    return float(kept.mean()), float(kept.std() / np.sqrt(len(kept)))
