import numpy as np
import pytest
from PIL import Image

from genjax.metrics.resizers import resized


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3)).astype(np.float32)


@pytest.mark.parametrize("shape", [(32, 20), (100, 77), (41, 299)])
def test_clean_is_pillows_bicubic_of_floats(shape):
    x = picture(*shape)
    channels = [Image.fromarray(x[0, :, :, c]).resize((48, 48), Image.BICUBIC) for c in range(3)]
    expected = np.stack([np.asarray(c) for c in channels], -1).clip(0, 255)
    np.testing.assert_allclose(resized(x, 48, "clean")[0], expected, atol=2e-3)


def test_bilinear_ones_by_hand():
    x = np.array([[0.0, 30.0]] * 2, np.float32)[None, :, :, None]
    # Of 2 pixels 4: at 0, 1/2, 1 and 3/2 (clamped), or at -1/4 (clamped), 1/4, 3/4 and 5/4.
    np.testing.assert_allclose(resized(x, 4, "tf1")[0, 0, :, 0], [0, 15, 30, 30])
    np.testing.assert_allclose(resized(x, 4, "pytorch")[0, 0, :, 0], [0, 7.5, 22.5, 30])
    # Of 4 pixels 2: neither averages more than two of them.
    y = np.array([0.0, 10.0, 40.0, 50.0], np.float32)[None, None, :, None].repeat(4, 1)
    np.testing.assert_allclose(resized(y, 2, "tf1")[0, 0, :, 0], [0, 40])
    np.testing.assert_allclose(resized(y, 2, "pytorch")[0, 0, :, 0], [5, 45])


@pytest.mark.parametrize("how", ["clean", "pytorch", "tf1"])
def test_pictures_of_the_size_stay_as_they_are(how):
    np.testing.assert_array_equal(resized(picture(24, 24), 24, how), picture(24, 24))
