"""Styles as sets of features: how near each feature of a picture is to one of the style's.

Kolkin et al. 2022 (arXiv:2203.13215), "Neural neighbor style transfer". A feature's neighbour is
the one at the least angle, each set about its own mean; the loss is of the angle to it about 0.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

_MOST_SIDE = 64  # places a side that are compared, evenly spaced: as in NNST's last pass
_MOST_COSINES = 2**25  # that are held at a time: 134 MB
_LEAST_NORM = 1e-8


def places(features: jax.Array) -> jax.Array:
    """f32[B, N, C]: the features f[B, h, w, C] of every n-th row and column, at most 64 of each."""
    stride = -(-max(features.shape[1:3]) // _MOST_SIDE)
    found = features[:, ::stride, ::stride].astype(jnp.float32)
    return found.reshape(found.shape[0], -1, found.shape[-1])


class Target(NamedTuple):
    """The features of styles f32[M, C] and their mean f32[C]."""

    features: jax.Array
    mean: jax.Array


def target(styles: list[jax.Array]) -> Target:
    """All features of styles, f32[1, N, C] each."""
    features = jnp.concatenate([style[0] for style in styles])
    return Target(features, features.mean(axis=0))


def nearest(x: jax.Array, style: Target) -> jax.Array:
    """i32[B, N]: which of a style's features is nearest to each of x f32[B, N, C].

    The one with the largest cosine, after each set's own mean is taken off; the first of several.
    Where there are many, rows of x are compared in blocks, for their memory.
    """
    centred = _units(x - x.mean(axis=1, keepdims=True)).reshape(-1, x.shape[-1])
    of_style = _units(style.features - style.mean[None])

    def nearest_of(rows):
        return jnp.argmax(rows @ of_style.T, axis=-1)

    block = max(1, _MOST_COSINES // len(of_style))
    if len(centred) <= block:
        return nearest_of(centred).reshape(x.shape[:2])
    padded = jnp.pad(centred, ((0, -len(centred) % block), (0, 0)))
    found = jax.lax.map(nearest_of, padded.reshape(-1, block, x.shape[-1]))
    return found.reshape(-1)[: len(centred)].reshape(x.shape[:2])


def distance(x: jax.Array, style: Target) -> jax.Array:
    """f32[B]: the mean of 1 - cosine between features f32[B, N, C] and their neighbours'.

    Which ones these are has no gradient.
    """
    return angle(x, style.features[nearest(jax.lax.stop_gradient(x), style)])


def centred_distance(x: jax.Array, style: Target) -> jax.Array:
    """f32[B]: as `distance`, of angles about each set's own mean, as neighbours are found by."""
    found = nearest(jax.lax.stop_gradient(x), style)
    about = x - x.mean(axis=1, keepdims=True)
    return angle(about, (style.features - style.mean[None])[found])


def angle(x: jax.Array, y: jax.Array) -> jax.Array:
    """f32[B]: the mean of 1 - cosine between features f32[B, N, C], one by one."""
    return 1 - (_units(x) * _units(y)).sum(axis=-1).mean(axis=1)


def _units(x):
    size = jnp.sqrt(jnp.maximum(jnp.square(x).sum(axis=-1, keepdims=True), _LEAST_NORM**2))
    return x / size
