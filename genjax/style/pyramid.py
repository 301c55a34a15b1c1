"""Laplacian pyramids of pictures: what each halving loses, and what is left in the end.

Burt and Adelson 1983, "The Laplacian pyramid as a compact image code", with bilinear steps down
and up, as NNST has it (Kolkin et al. 2022, arXiv:2203.13215). Pictures are f32[H, W, C].
"""

import jax

from genjax.style.scales import bilinear


def depth(height: int, width: int, most: int) -> int:
    """How often a picture can be halved, `most` times at most, with a pixel a side left."""
    return min(most, min(height, width).bit_length() - 1)


def halved(x: jax.Array, times: int = 1) -> jax.Array:
    """f32[H // 2, W // 2, C], so many times; each between the pixels, without averaging more."""
    for _ in range(times):
        x = bilinear(x, x.shape[0] // 2, x.shape[1] // 2)
    return x


def decompose(x: jax.Array, levels: int) -> list[jax.Array]:
    """The levels of a pyramid, finest first, and after them what `levels` halvings leave of `x`."""
    found = []
    for _ in range(levels):
        small = halved(x)
        found.append(x - bilinear(small, *x.shape[:2]))
        x = small
    return [*found, x]


def compose(levels: list[jax.Array]) -> jax.Array:
    """The picture of a pyramid; the inverse of `decompose`."""
    *details, x = levels
    for detail in reversed(details):
        x = detail + bilinear(x, *detail.shape[:2])
    return x
