"""Hypercolumns: for each place of a picture, what all layers of a network see there.

Hariharan et al. 2015 (arXiv:1411.5752), as in NNST (Kolkin et al. 2022, arXiv:2203.13215).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def hypercolumns(features: Sequence[jax.Array], height: int, width: int) -> jax.Array:
    """f32[height, width, sum of C] of layers' features f32[h, w, C].

    Each layer is resized, and divided by its number of channels, so that one with many of them
    counts no more in an angle.
    """
    parts = [aligned(x, height, width) / x.shape[-1] for x in features]
    return jnp.concatenate(parts, axis=-1)


def aligned(x: jax.Array, height: int, width: int) -> jax.Array:
    """f32[height, width, C] of f32[h, w, C]: bilinear, corners on corners.

    PyTorch's "bilinear" with `align_corners`; nothing is averaged where a side becomes shorter.
    """
    rows, columns = _weights(x.shape[0], height), _weights(x.shape[1], width)
    x = jnp.einsum("oh,hwc->owc", rows, x, precision="highest")
    return jnp.einsum("pw,owc->opc", columns, x, precision="highest")


def _weights(given: int, wanted: int) -> np.ndarray:
    """f32[wanted, given]: how much of each given place is in each that is wanted."""
    at = np.linspace(0, given - 1, wanted)
    distance = np.abs(at[:, None] - np.arange(given)[None])
    return np.maximum(0, 1 - distance).astype(np.float32)


def rotations(x: jax.Array) -> list[jax.Array]:
    """A picture f32[H, W, 3], and turned by one, two and three right angles."""
    return [jnp.rot90(x, k) for k in range(4)]
