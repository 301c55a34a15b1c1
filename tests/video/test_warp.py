import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from genjax.video.warp import warp

FILL = (0.4, 0.5, 0.6)


def test_a_shift_by_whole_pixels():
    image = np.arange(4 * 5 * 3, dtype=np.float32).reshape(4, 5, 3)
    # All comes from two to the right and one above.
    flow = np.zeros((4, 5, 2), np.float32) + np.float32([2, -1])
    found, inside = warp(jnp.asarray(image), flow, FILL)
    expected = np.zeros_like(image) + np.float32(FILL)
    expected[1:, :3] = image[:3, 2:]
    np.testing.assert_array_equal(found, expected)
    assert np.asarray(inside).sum() == 9 and np.asarray(inside)[1:, :3].all()


def test_against_scipy():
    rng = np.random.default_rng(0)
    image = rng.random((7, 9, 3), np.float32)
    flow = rng.normal(scale=2, size=(7, 9, 2)).astype(np.float32)
    y, x = np.indices((7, 9)) + np.moveaxis(flow, -1, 0)[::-1]
    found, inside = warp(jnp.asarray(image), flow, FILL)
    np.testing.assert_array_equal(inside, (x >= 0) & (x <= 8) & (y >= 0) & (y <= 6))
    for c in range(3):
        expected = ndimage.map_coordinates(image[..., c], [y, x], order=1, mode="nearest")
        expected = np.where(inside, expected, FILL[c])
        np.testing.assert_allclose(found[..., c], expected, atol=2e-6)
    assert 0.2 < np.mean(inside) < 0.95
