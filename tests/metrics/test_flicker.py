import numpy as np
import pytest

from genjax.metrics.flicker import flicker


def _grey(rows):
    return np.repeat(np.array(rows, np.uint8)[:, None, :, None], 3, axis=-1)


def test_by_hand():
    """A row that moves by one to the right: what comes from outside is left out."""
    frames = _grey([[255, 0, 51, 0], [0, 255, 0, 153]])
    flows = np.zeros((1, 1, 4, 2), np.float32) + np.float32([-1, 0])
    weights = np.float32([[[1.0, 1.0, 1.0, 0.5]]])
    found = flicker(frames, flows, weights)
    # Of four pixels, the last alone is other than it was, by 102 / 255, and counts half.
    assert found.mean_square == pytest.approx(0.5 * 0.4**2 / 4, rel=1e-5)
    assert found.root == pytest.approx((0.5 * 0.4**2 / 4) ** 0.5, rel=1e-5)


def test_over_frames():
    """The mean over pairs: one that stands, one that jumps from black to white."""
    frames = _grey([[0, 0], [0, 0], [255, 255]])
    found = flicker(frames, np.zeros((2, 1, 2, 2), np.float32), np.ones((2, 1, 2), np.float32))
    assert found.mean_square == 0.5
