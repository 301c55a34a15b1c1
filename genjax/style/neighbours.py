"""Styles as sets of features: how near each feature of a picture is to one of the style's.

Kolkin et al. 2022 (arXiv:2203.13215), "Neural neighbor style transfer". A feature's neighbour is
the one at the least angle, each set about its own mean; the loss is of the angle to it about 0.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

_MOST_SIDE = 64  # places a side that are compared, evenly spaced: as in NNST's last pass
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
    """
    centred = _units(x - x.mean(axis=1, keepdims=True))
    of_style = _units(style.features - style.mean[None])
    return jnp.argmax(jnp.einsum("bnc,mc->bnm", centred, of_style), axis=-1)


def distance(x: jax.Array, style: Target) -> jax.Array:
    """f32[B]: the mean of 1 - cosine between features f32[B, N, C] and their neighbours'.

    Which ones these are has no gradient.
    """
    neighbour = style.features[nearest(jax.lax.stop_gradient(x), style)]
    return 1 - (_units(x) * _units(neighbour)).sum(axis=-1).mean(axis=1)


def _units(x):
    size = jnp.sqrt(jnp.maximum(jnp.square(x).sum(axis=-1, keepdims=True), _LEAST_NORM**2))
    return x / size
