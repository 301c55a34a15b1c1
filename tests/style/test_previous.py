"""The picture before, as a network for clips sees it: by hand."""

import numpy as np

from genjax.cnn.vgg import IMAGENET_MEAN
from genjax.style import previous


def test_moved_by_hand():
    """Two pixels right. The mask is the least of 7 x 7 px, what leads outside among them."""
    picture = np.random.default_rng(0).random((1, 14, 20, 3), np.float32)
    flow = np.zeros((1, 14, 20, 2), np.float32)
    flow[..., 0] = 2
    trusted = np.ones((1, 14, 20), np.float32)
    trusted[0, 5, 6] = 0.25
    found = previous.moved(picture, flow, trusted)
    np.testing.assert_allclose(found.picture[0, :, :18], picture[0, :, 2:], atol=1e-6)
    expected = np.ones((14, 20), np.float32)
    expected[2:9, 3:10] = 0.25
    expected[:, 18 - 3 :] = 0
    np.testing.assert_array_equal(found.mask[0, ..., 0], expected)


def test_beside_by_hand():
    """The frame, the picture as far as it can be relied on and VGG's mean beyond, the mask."""
    frames = np.full((1, 1, 3, 3), 0.1, np.float32)
    picture = np.float32([1.0, 0.5, 0.0])[None, None, None].repeat(3, axis=2)
    mask = np.float32([1, 0, 0.5])[None, None, :, None]
    found = previous.beside(frames, previous.Previous(picture, mask))[0, 0]
    mean = np.float32(IMAGENET_MEAN)
    seen = [[1, 0.5, 0], mean, [(1 + mean[0]) / 2, (0.5 + mean[1]) / 2, mean[2] / 2]]
    expected = [[0.1] * 3 + [*colour] + [m] for colour, m in zip(seen, (1, 0, 0.5), strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    alone = previous.beside(frames)[0, 0]
    np.testing.assert_allclose(alone, [[0.1] * 3 + [*mean] + [0]] * 3, atol=1e-6)
