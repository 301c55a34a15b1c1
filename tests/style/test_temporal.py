import numpy as np

from genjax.style import temporal


def test_by_hand():
    """Two frames, two earlier ones each, of one row of two grey pixels."""
    pictures = np.float32([[0.5, 1.0], [0.0, 0.0]])
    warped = np.float32([[[0.5, 0.5], [0.0, 0.0]], [[0.2, 0.4], [1.0, 1.0]]])
    weights = np.float32([[[1.0, 1.0], [0.5, 0.0]], [[1.0, 0.5], [0.0, 0.0]]])
    # (0² + 0.5²)/2 + (0.5 * 0.5² + 0)/2; (0.2² + 0.5 * 0.4²)/2 + 0
    expected = [0.125 + 0.0625, 0.06]
    grey = [np.repeat(x[..., None, :, None], 3, axis=-1) for x in (pictures, warped)]
    found = temporal.temporal_loss(*grey, weights[..., None, :])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_levels_are_those_of_the_authors_pixels():
    """Of pixels from 0 to 255, less a mean that falls out, the loss is theirs."""
    rng = np.random.default_rng(0)
    x, warped = rng.random((1, 4, 5, 3)), rng.random((1, 1, 4, 5, 3))
    c = rng.random((1, 1, 4, 5))
    theirs = np.mean(c[0, 0, ..., None] * (255 * x[0] - 255 * warped[0, 0]) ** 2)
    ours = 1e3 * temporal.LEVELS * temporal.temporal_loss(*map(np.float32, (x, warped, c)))
    np.testing.assert_allclose(ours, [1e3 * theirs], rtol=1e-5)
