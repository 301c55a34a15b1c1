"""The two losses of NNST, neural neighbour style transfer: Kolkin et al. 2022, arXiv:2203.13215.

First, at each scale, every place of the picture is given the hypercolumn of a style that is nearest
to what content and picture have there, once and for all. In the end, at full size, each layer by
itself turns to its nearest features, found anew in each step.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from genjax import rng
from genjax.style import neighbours, pyramid
from genjax.style.hypercolumns import hypercolumns, rotations

_SHRINK = 4  # px from one hypercolumn to the next
_SIDE = 64  # places a side that a layer is compared at in the end, about


class Loss(NamedTuple):
    """How pictures f32[H, W, 3] are compared with styles, in one pass of a run.

    Attributes:
      style: `(weights, styles f32[H, W, 3] each) -> arrays`, what the others take as `style`.
      match: `(weights, style, content, levels) -> arrays`, what a picture keeps for the whole pass;
        `levels` is the pyramid that it begins with.
      value: `(weights, style, matched, picture, key) -> f32[]`.
    """

    style: Callable[..., Any]
    match: Callable[..., Any]
    value: Callable[..., jax.Array]


def of_hypercolumns(describe: Callable[..., Sequence[jax.Array]], share: float) -> Loss:
    """The mean of 1 - cosine to the hypercolumns of styles that places were given.

    Which is nearest is a matter of the angle about each set's mean, from `share` of the content and
    the rest of the picture, with the finest level of the content; the loss is of the angle about 0.

    Args:
      describe: `(weights, picture) -> [f32[h, w, C], ...]`, the features of its layers.
      share: of the content in what is matched; 1 for the content alone.
    """

    def columns(weights, picture):
        height, width = (max(1, side // _SHRINK) for side in picture.shape[:2])
        found = hypercolumns(describe(weights, picture), height, width)
        return found.reshape(1, height * width, -1)

    def style(weights, styles):
        return neighbours.target([columns(weights, x) for s in styles for x in rotations(s)])

    def match(weights, style, content, levels):
        """i32[N]: the number of the style's hypercolumn for each place."""
        query = content
        if share < 1:
            finest, *_ = pyramid.decompose(content, min(1, len(levels) - 1))
            query = share * content + (1 - share) * pyramid.compose([finest, *levels[1:]])
        return neighbours.nearest(columns(weights, query), style)[0]

    def value(weights, style, matched, picture, key):
        return neighbours.angle(columns(weights, picture), style.features[matched][None])[0]

    return Loss(style, match, value)


def of_layers(describe: Callable[..., Sequence[jax.Array]]) -> Loss:
    """The sum over layers of the mean of 1 - cosine to the nearest features of styles.

    Angles are about each set's own mean. Of large layers, every n-th row and column is compared,
    from another one on in each step: of pictures and styles, about 64 a side.
    """

    def style(weights, styles):
        found = [describe(weights, x) for s in styles for x in rotations(s)]
        return [list(maps) for maps in zip(*found, strict=True)]

    def match(weights, style, content, levels):
        return ()

    def value(weights, style, matched, picture, key):
        features = describe(weights, picture)
        first = rng.uniform(key, jnp.zeros(1, jnp.int32), (len(features), 2))[0]
        total = jnp.float32(0)
        for x, maps, start in zip(features, style, first, strict=True):
            target = neighbours.target([strided(m, start) for m in maps])
            total += neighbours.centred_distance(strided(x, start), target)[0]
        return total

    return Loss(style, match, value)


def strided(x: jax.Array, start: jax.Array) -> jax.Array:
    """f32[1, N, C]: every n-th row and column of f32[h, w, C], for 64 to 127 of the longer side.

    Args:
      start: f32[2] in [0, 1), where between one row, and column, and the next it begins.
    """
    height, width, channels = x.shape
    n = max(1, max(height, width) // _SIDE)
    down, right = min(n, height), min(n, width)
    rows, columns = height // down, width // right
    row, column = jnp.floor(start * jnp.array([down, right])).astype(jnp.int32)
    x = x[: rows * down, : columns * right].reshape(rows, down, columns, right, channels)
    x = jax.lax.dynamic_index_in_dim(x, row, 1, keepdims=False)
    x = jax.lax.dynamic_index_in_dim(x, column, 2, keepdims=False)
    return x.reshape(1, rows * columns, channels)


def described(net, layers: Sequence[str]) -> Callable[[Mapping, jax.Array], list[jax.Array]]:
    """`(weights, picture f32[H, W, 3]) -> [f32[h, w, C], ...]`, the features of layers."""

    def describe(weights, picture):
        found = net.apply(weights, picture[None], layers)
        return [found[layer][0].astype(jnp.float32) for layer in layers]

    return describe
