"""The colour step of NNST: a painting's colours laid over the content as the content has its own.

Kolkin et al. 2022 (arXiv:2203.13215), with the constants of the authors' program. A
transfer of features leaves stains of colour. So the large areas of the result get the content's
colours, moved to the mean and covariance of the style's; its lightness and its strokes stay.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax.style import colours, pyramid

_RIDGE = 1e-4  # is added to variances of colours
_LEVELS = 4  # of a pyramid, that stay as they are painted
_PASSES, _SHARPNESS = 5, 10.0  # of the filter that keeps colours inside of the result's edges


def of_content(content: jax.Array, styles: Sequence[jax.Array]) -> tuple[np.ndarray, np.ndarray]:
    """What `recoloured` needs: a content's colours as the styles have theirs, and their range.

    Args:
      content: f32[H, W, 3], RGB in [0, 1]; styles: f32[h, w, 3] each, which count as one.

    Returns:
      f32[H, W, 2], the two colour axes of OKLab, and f32[2, 3], the least and the largest value of
      each OKLab axis in the styles.
    """
    lab = np.concatenate([np.asarray(colours.to_oklab(x)).reshape(-1, 3) for x in styles])
    axes = np.asarray(colours.to_oklab(content))[..., 1:]
    wanted = colours.matched(axes, lab[:, 1:], _RIDGE)
    return wanted.astype(np.float32), np.stack([lab.min(axis=0), lab.max(axis=0)])


def recoloured(picture: jax.Array, wanted: jax.Array, limits: jax.Array) -> jax.Array:
    """RGB f32[H, W, 3] in [0, 1]: a result with new colours in its large areas.

    Args:
      picture: f32[H, W, 3], RGB; what lies outside of [0, 1] is clipped.
      wanted, limits: of `of_content`.
    """
    painted = colours.to_oklab(jnp.clip(picture, 0, 1))
    lowest, highest = limits[0][None, None], limits[1][None, None]
    lightness = jnp.clip(painted, lowest, highest)[..., :1]
    new = jnp.concatenate([lightness, filtered(wanted, lightness)], axis=-1)
    new = jnp.clip(new, lowest, highest)
    levels = pyramid.depth(*picture.shape[:2], _LEVELS)
    *strokes, _ = pyramid.decompose(painted, levels)
    *_, areas = pyramid.decompose(new, levels)
    return jnp.clip(colours.from_oklab(pyramid.compose([*strokes, areas])), 0, 1)


def filtered(x: jax.Array, guide: jax.Array) -> jax.Array:
    """x f32[H, W, C] as means over 3 x 3 pixels, five times, weighted by a guide f32[H, W, 1].

    A neighbour counts by exp(-10 |difference of the guide|), so that little crosses the guide's
    edges (a bilateral filter, guided by another picture). Borders are repeated.
    """
    weights = [jnp.exp(-_SHARPNESS * jnp.abs(y - guide)) for y in _around(guide)]
    for _ in range(_PASSES):
        x = sum(w * y for w, y in zip(weights, _around(x), strict=True)) / sum(weights)
    return x


def _around(x: jax.Array) -> list[jax.Array]:
    """The nine pictures whose pixels are the neighbours of x's f32[H, W, C], and itself."""
    padded = jnp.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = x.shape[:2]
    return [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]
