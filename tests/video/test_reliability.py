import numpy as np
from scipy.ndimage import gaussian_filter

from genjax.video.example import Example
from genjax.video.reliability import long_term, motion, weights

SHAPE = (24, 32)


def _everywhere(u, v):
    return np.zeros((*SHAPE, 2), np.float32) + np.float32([u, v])


def _smoothed(found):
    return np.clip(gaussian_filter(np.asarray(found, float), 0.8), 0, 1)


def test_where_nothing_moves_all_is_relied_on():
    np.testing.assert_array_equal(weights(_everywhere(0, 0), _everywhere(0, 0)), 1)


def test_pixels_from_outside():
    """All comes from three to the right: the last three columns were out of the frame."""
    expected = np.ones(SHAPE)
    expected[:, -3:] = 0
    found = weights(_everywhere(3, 0), _everywhere(-3, 0))
    np.testing.assert_allclose(found, _smoothed(expected), atol=1e-6)
    assert found.dtype == np.float32


def test_a_square_over_a_still_background():
    """It moves by five to the right. What it uncovers leads to where it was, whence the flow
    forward leads to where it is: 0 + 5, squared, is over 0.01 * 25 + 0.5.
    """
    backward, forward = _everywhere(0, 0), _everywhere(0, 0)
    backward[8:16, 15:23] = (-5, 0)
    forward[8:16, 10:18] = (5, 0)
    expected = np.ones(SHAPE)
    # Slopes are of central differences: 2.5 beside each edge, inside (6.25 > 0.252) and outside.
    expected[7:17, [14, 15, 22, 23]] = 0
    expected[[7, 8, 15, 16], 14:24] = 0
    expected[[7, 7, 16, 16], [14, 23, 14, 23]] = 1  # a corner's neighbours do not see it
    expected[8:16, 10:15] = -1  # uncovered
    np.testing.assert_allclose(weights(backward, forward), _smoothed(expected), atol=1e-6)


def test_thresholds():
    """There and back: 0.79² is under 0.01 (3² + 2.21²) + 0.5 = 0.639, and 0.81² is over 0.638."""
    for short, relied_on in ((0.79, 1), (0.81, 0)):
        found = weights(_everywhere(3, 0), _everywhere(short - 3, 0))
        np.testing.assert_allclose(found[12, 8], relied_on, atol=1e-6)
    # Slopes of s in u alone: s² against 0.01 |w|² + 0.002, where w is 0.
    for slope, relied_on in ((0.044, 1), (0.046, 0)):
        x = (np.arange(32) - 16).astype(np.float32)
        backward = _everywhere(0, 0)
        backward[..., 0] += slope * x[None]
        assert (weights(backward, -backward)[12, 16] > 0.9) == relied_on


def test_the_true_motion_of_the_example():
    """What the disc uncovers, known from where it was, counts nothing, and most else everything."""
    example = Example(side=96)
    found = weights(example.flow(12, 11), example.flow(11, 12))
    now, before = example.is_disc(12), example.is_disc(11)
    flow = example.flow(12, 11)
    x, y = (np.indices(example.shape)[::-1] + np.moveaxis(flow, -1, 0)).round().astype(int)
    inside = (x >= 0) & (x < 96) & (y >= 0) & (y < 64)
    was_disc = before[y.clip(0, 63), x.clip(0, 95)]
    uncovered = ~now & inside & was_disc
    assert uncovered.sum() > 20 and found[uncovered].mean() < 0.1
    seen = inside & (now == was_disc)
    assert found[seen].mean() > 0.85


def test_a_clip_is_measured_once_for_each_pair():
    frames = Example(length=4, side=48).frames()
    found = motion(frames, back=2)
    assert found.flows.shape == (2, 32, 48, 2) and found.weights.shape == (2, 32, 48)
    one = motion(frames[1:4:2])
    np.testing.assert_array_equal(one.flows[0], found.flows[1])
    np.testing.assert_array_equal(one.weights[0], found.weights[1])


def test_long_term():
    """A later one counts only where none before it does, by their own weights, not the new ones."""
    given = np.float32([[1.0, 0.0, 0.4, 0.3], [1.0, 0.5, 0.5, 0.9], [1.0, 1.0, 1.0, 1.0]])
    expected = [[1.0, 0.0, 0.4, 0.3], [0.0, 0.5, 0.1, 0.6], [0.0, 0.5, 0.1, 0.0]]
    np.testing.assert_allclose(long_term(given), expected, atol=1e-6)
