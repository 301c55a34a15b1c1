import numpy as np
import pytest
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from genjax.metrics import fidelity


@pytest.fixture(scope="module")
def pair():
    a = data.astronaut()[:48, 100:160] / 255
    noise = np.random.default_rng(0).standard_normal(a.shape) / 20
    return a, np.clip(a + noise, 0, 1)


def both(pair):
    return [np.stack([x, 1 - x]).astype(np.float32) for x in pair]


def test_ssim_is_scikit_images(pair):
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = structural_similarity(*pair, channel_axis=-1, data_range=1, **options)
    found = fidelity.ssim(*both(pair))
    assert float(found[0]) == pytest.approx(expected, abs=1e-5)
    assert fidelity.ssim(*both((pair[0], pair[0]))) == pytest.approx([1, 1], abs=1e-5)


def test_psnr_is_scikit_images(pair):
    expected = peak_signal_noise_ratio(*pair, data_range=1)
    assert fidelity.psnr(*both(pair)) == pytest.approx([expected] * 2, rel=1e-5)
