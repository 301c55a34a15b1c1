"""Pairs of frames made of photographs, whose motion is known exactly.

As the program of Ruder, Dosovitskiy and Brox 2018, arXiv:1708.04538, makes them beside its clips:
the camera moves sideways over a photograph ("shift"), or goes back from it ("zoom").
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax import rng

# "alone" is a photograph that has no frame before it.
KINDS = ("shift", "zoom", "alone")


class Pair(NamedTuple):
    """Two frames each of B clips.

    Attributes:
      first, second: f32[B, H, W, 3] in [0, 1].
      flow: f32[B, H, W, 2], from the second back to the first (`genjax.video.flow`).
      trusted: f32[B, H, W], 1 where there is a frame before, and 0 where there is none.
    """

    first: jax.Array
    second: jax.Array
    flow: jax.Array
    trusted: jax.Array


def drawn(key, examples, mix, reach: int, axis_name=None) -> tuple[jax.Array, jax.Array]:
    """(i32[B], i32[B, 2]): what kind of pair each example is, by its place in `KINDS`, and how it
    moves right and down, in px from `-reach` to `reach - 1`, each alike.

    Args:
      examples: as of `rng.example_keys`.
      mix: the shares of the kinds, of any sum.
    """
    numbers = rng.uniform(key, examples, (3,), axis_name)
    bounds = jnp.cumsum(jnp.float32(mix))
    kind = (numbers[:, :1] * bounds[-1] >= bounds[None, :-1]).sum(axis=1)
    moves = jnp.floor(numbers[:, 1:] * (2 * reach)) - reach
    return kind.astype(jnp.int32), moves.astype(jnp.int32)


def pairs(photographs: jax.Array, kind: jax.Array, moves: jax.Array, reach: int) -> Pair:
    """The frames that photographs f32[B, H, W, 3] make; `kind`, `moves`, `reach` are of `drawn`.

    "shift": both frames are cut out of the photograph enlarged by `reach` px, the second so far
    right and down of the first as it moves. "zoom": the second is the photograph, and the first
    lacks so many columns and rows of it and is as large, at the left or above where they are
    negative. "alone": both are the photograph.
    """
    _, height, width, _ = photographs.shape
    x, y = (
        _line(side, reach, kind[:, None], moves[:, i, None].astype(jnp.float32))
        for i, side in enumerate((width, height))
    )
    shape = photographs.shape[:3]
    flow = [
        jnp.broadcast_to(x.flow[:, None], shape),
        jnp.broadcast_to(y.flow[:, :, None], shape),
    ]
    known = (kind != KINDS.index("alone")).astype(jnp.float32)
    return Pair(
        _sampled(photographs, y.first, x.first),
        _sampled(photographs, y.second, x.second),
        jnp.stack(flow, axis=-1),
        jnp.broadcast_to(known[:, None, None], shape),
    )


class _Line(NamedTuple):
    """Along an axis of `n` px: where in the photograph both frames' pixels are, and the flow, in
    px; f32[B, n] each."""

    first: jax.Array
    second: jax.Array
    flow: jax.Array


def _line(side: int, reach: int, kind, move) -> _Line:
    """Of kinds i32[B, 1] and moves f32[B, 1]."""
    x = jnp.arange(side, dtype=jnp.float32)[None]
    before, after = jnp.maximum(-move, 0), jnp.maximum(move, 0)
    enlarged = (side - 1) / (side + reach - 1)
    last = side - 1 - abs(move)
    # Whole pixels are whole ones, however it is rounded, as some of them are those of the border.
    zoomed = (x - before) * (side - 1) / last
    zoomed = jnp.where(abs(zoomed - jnp.round(zoomed)) < 1e-3, jnp.round(zoomed), zoomed)
    found = {
        "shift": ((x + before) * enlarged, (x + after) * enlarged, move),
        "zoom": (before + x * last / (side - 1), x, zoomed - x),
        "alone": (x, x, 0.0),
    }
    is_kind = [kind == i for i in range(len(KINDS))]
    shape = (len(kind), side)
    return _Line(
        *(
            jnp.select(
                [jnp.broadcast_to(x, shape) for x in is_kind],
                [jnp.broadcast_to(found[name][i], shape) for name in KINDS],
            )
            for i in range(3)
        )
    )


def _sampled(photographs, rows, columns) -> jax.Array:
    """Photographs f32[B, H, W, 3] at places f32[B, h] and f32[B, w] inside of them, bilinear."""

    def weights(places, side):
        away = places[:, :, None] - jnp.arange(side, dtype=jnp.float32)[None, None]
        return jnp.maximum(1 - abs(away), 0)

    _, height, width, _ = photographs.shape
    return jnp.einsum(
        "byh,bhwc,bxw->byxc",
        weights(rows, height),
        photographs,
        weights(columns, width),
        precision=jax.lax.Precision.HIGHEST,
    )
