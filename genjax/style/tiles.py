"""Pictures of any size in the memory of a tile: what is a mean over a picture, tile by tile.

A style's statistics are means over a picture's features, and so is a content's error. So a picture
is cut into tiles, and each is seen with a halo, a margin as wide as a feature of the network sees.
The features of the tile itself are then those of the whole picture; those of the halo belong to
other tiles, and count as nought. The sums of all tiles are those of the picture, to rounding.

The gradient takes a second pass. Its loss is no sum over tiles, but the loss of sums: once these
are known, so is the loss' derivative by them, and each tile is computed again for its part of the
picture's gradient. `jax.checkpoint` in a `scan` is just that: no tile's features are kept.

Windows (tiles with halo) have one size, since they are one program. So those at the picture's edges
are moved inwards to end there: their features see the picture's border as those of the whole do.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.cnn.vgg import Field
from genjax.devices import shared


class Cut(NamedTuple):
    """How a picture is cut along one axis; all in px.

    Attributes:
      side: of each window.
      windows: where each begins.
      cores: (begin, end) of the tile that each is for; together they are the axis.
    """

    side: int
    windows: tuple[int, ...]
    cores: tuple[tuple[int, int], ...]


def grain(fields: Sequence[Field]) -> int:
    """Px: tiles and windows begin at multiples of this, where features of all layers begin."""
    return max(field.stride for field in fields)


def halo(fields: Sequence[Field]) -> int:
    """Px around a tile that features of these layers see, up to a multiple of the `grain`."""
    return _up(max(field.reach for field in fields), grain(fields))


def cut(length: int, tile: int, fields: Sequence[Field]) -> Cut:
    """Cuts an axis of `length` px into tiles of nearly equal sides, `tile` px or less each.

    Args:
      tile: a multiple of the `grain`.
    """
    step, margin = grain(fields), halo(fields)
    tile = _up(-(-length // -(-length // tile)), step)
    # The last window ends with the picture, and begins at a multiple of the grain as the others do.
    side = tile + 2 * margin + length % step
    if side >= length:
        return Cut(length, (0,), ((0, length),))
    cores = [(begin, min(begin + tile, length)) for begin in range(0, length, tile)]
    windows = [min(max(begin - margin, 0), length - side) for begin, _ in cores]
    return Cut(side, tuple(windows), tuple(cores))


def count(shape: Sequence[int], tile: int, fields: Sequence[Field]) -> int:
    """How many tiles of `tile` px a picture of shape [H, W] has."""
    return math.prod(len(cut(length, tile, fields).windows) for length in shape)


def means(
    apply: Callable,
    function: Callable,
    picture: jax.Array,
    beside: Mapping[str, Mapping[str, jax.Array]],
    fields: Mapping[str, Field],
    tile: int,
    is_shared: bool = False,
) -> dict[str, dict[str, Any]]:
    """`function(apply(picture), beside)`, computed tile by tile, with a gradient by the picture.

    Args:
      apply: `(pictures f32[B, h, w, 3]) -> {layer: f[B, h', w', C]}`.
      function: `({layer: f[B, h', w', C]}, beside) -> {name: {layer: arrays}}`, means over the
        places of a layer of what is 0 where its features and what is beside them are.
      picture: f32[B, H, W, 3].
      beside: {name: {layer: f[B, ceil(H / stride), ceil(W / stride), C]}}, what there is at the
        same places: features of other pictures, weights.
      fields: of the layers of `apply`.
      tile: px, a multiple of the `grain`.
      is_shared: whether the tiles are shared out over all devices (`genjax.devices.shared`).
    """
    rows, columns = (cut(n, tile, [*fields.values()]) for n in picture.shape[1:3])

    def of_tile(picture, beside, at):
        window = _window(picture, at, 1, rows, columns)
        found = {name: _core(x, at, fields[name].stride) for name, x in apply(window).items()}
        others = {
            name: {
                layer: _core(_window(x, at, s := fields[layer].stride, rows, columns), at, s)
                for layer, x in layers.items()
            }
            for name, layers in beside.items()
        }
        places = {
            name: (x.shape[1] * x.shape[2]) / _places(picture.shape, fields[name].stride)
            for name, x in found.items()
        }
        return {
            name: {
                layer: jax.tree.map(lambda x, share=places[layer]: share * x, arrays)
                for layer, arrays in layers.items()
            }
            for name, layers in function(found, others).items()
        }

    of_tile = jax.checkpoint(of_tile, prevent_cse=False)  # a scan has none that could be merged

    def of_tiles(at, given):
        def add(sums, at):
            return jax.tree.map(jnp.add, sums, of_tile(*given, at)), None

        shapes = jax.eval_shape(of_tile, *given, jax.tree.map(lambda x: x[0], at))
        sums = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return jax.lax.scan(add, sums, at)[0]

    return _summed(of_tiles, _all(rows, columns), (picture, beside), is_shared)


def features(
    apply: Callable,
    picture: jax.Array,
    fields: Mapping[str, Field],
    tile: int,
    is_shared: bool = False,
) -> dict[str, jax.Array]:
    """`apply(picture)` of f32[B, H, W, 3], put together from tiles; arguments as of `means`."""
    rows, columns = (cut(n, tile, [*fields.values()]) for n in picture.shape[1:3])

    def of_tiles(at, picture):
        def put(whole, at):
            found = apply(_window(picture, at, 1, rows, columns))

            def one(name, whole):
                stride = fields[name].stride
                part = _window(whole, at, stride, rows, columns) + _core(found[name], at, stride)
                return jax.lax.dynamic_update_slice(whole, part, _begin(at, stride))

            return {name: one(name, x) for name, x in whole.items()}, None

        shapes = jax.eval_shape(apply, picture)
        whole = {name: jnp.zeros(x.shape, x.dtype) for name, x in shapes.items()}
        return jax.lax.scan(put, whole, at)[0]

    return _summed(of_tiles, _all(rows, columns), picture, is_shared)


def _summed(of_tiles: Callable, at: "_At", given, is_shared: bool):
    """The sum over tiles. Tiles of zeros, of which `shared.summed` may add some, are empty: they
    have no features of their own, and add nothing."""
    return shared.summed(of_tiles, at, given) if is_shared else of_tiles(at, given)


class _At(NamedTuple):
    """Of each tile, i32[...]: where its window begins, and its core's (begin, end); in px."""

    top: jax.Array
    left: jax.Array
    rows: tuple[jax.Array, jax.Array]
    columns: tuple[jax.Array, jax.Array]


def _all(rows: Cut, columns: Cut) -> _At:
    """Every tile of a picture, row by row."""
    across = len(columns.windows)

    def down(values):
        return jnp.asarray(np.repeat(np.asarray(values, np.int32), across))

    def along(values):
        return jnp.asarray(np.tile(np.asarray(values, np.int32), len(rows.windows)))

    ends = zip(*rows.cores, strict=True), zip(*columns.cores, strict=True)
    return _At(
        down(rows.windows),
        along(columns.windows),
        tuple(down(x) for x in ends[0]),
        tuple(along(x) for x in ends[1]),
    )


def _begin(at: _At, stride: int):
    return jnp.int32(0), at.top // stride, at.left // stride, jnp.int32(0)


def _window(x: jax.Array, at: _At, stride: int, rows: Cut, columns: Cut) -> jax.Array:
    """A tile's window of a picture, or of features with a stride."""
    sides = (-(-rows.side // stride), -(-columns.side // stride))
    return jax.lax.dynamic_slice(x, _begin(at, stride), (x.shape[0], *sides, x.shape[3]))


def _core(x: jax.Array, at: _At, stride: int) -> jax.Array:
    """The features of a window, those that are not of its tile made 0."""

    def inside(n, begin, core):
        px = begin + stride * jnp.arange(n)
        return (px >= core[0]) & (px < core[1])

    down = inside(x.shape[1], at.top, at.rows)[None, :, None, None]
    along = inside(x.shape[2], at.left, at.columns)[None, None, :, None]
    return jnp.where(down & along, x, 0)


def _places(shape: Sequence[int], stride: int) -> int:
    """How many features with a stride a picture [B, H, W, 3] has."""
    return (-(-shape[1] // stride)) * (-(-shape[2] // stride))


def _up(n: int, step: int) -> int:
    return -(-n // step) * step
