"""Where a flow can be relied on: not where something came into view, nor at the edge of what moves.

Ruder, Dosovitskiy and Brox 2016, arXiv:1604.08610, section 3.2; the thresholds are those of
Sundaram, Brox and Keutzer 2010 (ECCV, "Dense point trajectories by GPU-accelerated large
displacement optical flow"), and the smoothing that of the authors' code.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from genjax.video.flow import flow
from genjax.video.warp import warp

_SMOOTHING = 0.8  # px, the standard deviation


class Motion(NamedTuple):
    """How N frames of a clip follow from earlier ones.

    Attributes:
      flows: f32[N, H, W, 2], from each frame back to the earlier one (`video.flow`).
      weights: f32[N, H, W] in [0, 1], how far each of its pixels can be relied on.
    """

    flows: np.ndarray
    weights: np.ndarray


def motion(frames: np.ndarray, back: int = 1) -> Motion:
    """The motion from the frames u8[T, H, W, 3] of a clip to those `back` before: N = T - back.

    Two flows a frame are computed, here and there, and kept nowhere.
    """
    found = map(between, frames[:-back], frames[back:])
    return Motion(*(np.stack(each) for each in zip(*found, strict=True)))


def between(earlier: np.ndarray, later: np.ndarray) -> Motion:
    """As `motion` of two frames u8[H, W, 3], f32[H, W, 2] and f32[H, W]."""
    backward = flow(later, earlier)
    return Motion(backward, weights(backward, flow(earlier, later)))


def weights(backward: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """f32[H, W] in [0, 1]: how far each pixel of a frame can be relied on to come from the earlier.

    With w = (u, v) the flow at a pixel and f the forward flow where it leads:

    - 0 where it leads out of the frame.
    - 0 where the pixel just came into view: |f + w|² >= 0.01 (|f|² + |w|²) + 0.5, as the ways there
      and back do not end where they began (equation 5).
    - 0 at the edge of what moves: |∇u|² + |∇v|² > 0.01 |w|² + 0.002 (equation 6).
    - 1 elsewhere.

    This is smoothed with a Gaussian of 0.8 px, in which pixels that came into view count -1, so
    that these areas grow, and clipped.

    Args:
      backward: f32[H, W, 2], from the frame to the earlier one; forward: from that to the frame.
    """
    there, inside = (np.asarray(x) for x in warp(forward, backward, (0.0, 0.0)))
    slopes = np.gradient(backward, axis=(0, 1))
    edge = sum(_squared(slope) for slope in slopes) > 0.01 * _squared(backward) + 0.002
    apart = _squared(there + backward) >= 0.01 * (_squared(there) + _squared(backward)) + 0.5
    found = np.select([~inside, apart, edge], [0.0, -1.0, 0.0], 1.0)
    return np.clip(gaussian_filter(found, _SMOOTHING), 0, 1).astype(np.float32)


def _squared(vectors: np.ndarray) -> np.ndarray:
    """The squared lengths f[H, W] of f[H, W, 2]."""
    return np.square(vectors).sum(axis=-1)


def long_term(weights: np.ndarray) -> np.ndarray:
    """f32[J, ...]: the weights f32[J, ...] of J earlier frames, so that the nearest counts alone
    where it can be relied on.

    c_j becomes max(c_j - (c_1 + ... + c_(j-1)), 0): equation 9 of Ruder et al.

    Args:
      weights: of the nearest frame first.
    """
    return np.maximum(weights - (np.cumsum(weights, axis=0) - weights), 0)
