"""Perceptual path length: how far pictures jump on a short way between two latents.

Karras et al. 2019, arXiv:1812.04948, section 4.1, in the space of normal latents: small where a
generator's pictures change evenly from any latent to any other.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

EPSILON = 1e-4  # the way's length, as a share of that between the two latents
PERCENTILES = (1, 99)  # lengths outside are left out, as the authors' code does


def spherical(a: jax.Array, b: jax.Array, t: jax.Array) -> jax.Array:
    """f32[n, L]: from a (t = 0) to b (t = 1), f32[n, L] each, on the great circle of directions.

    Norms go evenly from one to the other, so that what lies between normal latents is as likely as
    they are. The authors' latents all have one norm.

    Args:
      t: f32[n].
    """
    norm_a, norm_b = (jnp.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    a, b, t = a / norm_a, b / norm_b, t[:, None]
    cosine = (a * b).sum(1, keepdims=True)
    across = b - cosine * a
    across = across / jnp.linalg.norm(across, axis=1, keepdims=True)
    angle = t * jnp.arccos(jnp.clip(cosine, -1, 1))
    direction = a * jnp.cos(angle) + across * jnp.sin(angle)
    return direction * ((1 - t) * norm_a + t * norm_b)


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
