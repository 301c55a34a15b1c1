"""Frames made of photographs: by hand, and that their flow leads from one to the other."""

import jax
import numpy as np
import pytest

from genjax.style import known_motion
from genjax.style.known_motion import KINDS
from genjax.video.warp import warp


def _pair(picture, kind, move, reach):
    """Of a picture f[H, W] in grey, moved by (right, down): first, second f32[H, W], flow."""
    photographs = np.broadcast_to(np.float32(picture)[None, ..., None], (1, *picture.shape, 3))
    pair = known_motion.pairs(photographs, np.int32([KINDS.index(kind)]), np.int32([move]), reach)
    return np.asarray(pair.first[0, ..., 0]), np.asarray(pair.second[0, ..., 0]), pair.flow[0]


# Columns from 0 to 4, which each row of the picture has: those of the first frame, of the second,
# and how far right each pixel of the second has to go to be in the first.
_BY_HAND = {
    # Enlarged to nine columns, 0, 0.5, ... 4: the first five of them, and those from the next on.
    ("shift", 1): ([0, 0.5, 1, 1.5, 2], [0.5, 1, 1.5, 2, 2.5], [1] * 5),
    ("shift", -3): ([1.5, 2, 2.5, 3, 3.5], [0, 0.5, 1, 1.5, 2], [-3] * 5),
    # Three of five columns, twice as far apart.
    ("zoom", 2): ([0, 0.5, 1, 1.5, 2], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
    ("zoom", -2): ([2, 2.5, 3, 3.5, 4], [0, 1, 2, 3, 4], [-4, -3, -2, -1, 0]),
    ("zoom", 0): ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0] * 5),
    ("alone", 3): ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0] * 5),
}


@pytest.mark.parametrize(("kind", "move"), _BY_HAND)
def test_frames_by_hand(kind, move):
    right = np.tile(np.arange(5.0), (7, 1))
    expected = [np.tile(row, (7, 1)) for row in _BY_HAND[kind, move]]
    first, second, flow = _pair(right, kind, (move, 0), 4)
    for found, row in zip((first, second, flow[..., 0]), expected, strict=True):
        np.testing.assert_allclose(found, row, atol=1e-6)
    np.testing.assert_array_equal(flow[..., 1], 0)
    first, second, flow = _pair(right.T, kind, (0, move), 4)
    for found, row in zip((first, second, flow[..., 1]), expected, strict=True):
        np.testing.assert_allclose(found, row.T, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_frame_warped_is_the_second(kind):
    """Of a slope, which lines between pixels give back; where the flow stays inside."""
    slope = np.arange(9.0)[:, None] + 3 * np.arange(12.0)[None]
    first, second, flow = _pair(slope, kind, (3, -2), 4)
    warped, inside = warp(first[..., None], flow, (0.0,))
    counts = {"shift": 7 * 9, "zoom": 7 * 9, "alone": 9 * 12}  # two rows and three columns came
    assert inside.sum() == counts[kind]
    np.testing.assert_allclose(warped[..., 0][inside], second[inside], atol=1e-5)


def test_what_is_drawn():
    key = jax.random.key(3)
    kind, moves = known_motion.drawn(key, 3000, (1.0, 2.0, 3.0), 2)
    np.testing.assert_allclose(np.bincount(kind) / 3000, [1 / 6, 2 / 6, 3 / 6], atol=0.03)
    for axis in range(2):
        np.testing.assert_allclose(np.bincount(moves[:, axis] + 2) / 3000, [0.25] * 4, atol=0.03)
    assert abs(np.corrcoef(moves, rowvar=False)[0, 1]) < 0.05
    only, _ = known_motion.drawn(key, 20, (0.0, 1.0, 0.0), 2)
    assert set(np.asarray(only)) == {1}
    # An example's motion is its own, whatever is drawn beside it.
    some = known_motion.drawn(key, np.int32([7, 2]), (1.0, 2.0, 3.0), 2)
    np.testing.assert_array_equal(some[0], kind[np.array([7, 2])])
    np.testing.assert_array_equal(some[1], moves[np.array([7, 2])])
