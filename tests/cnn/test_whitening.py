import numpy as np

from configs import cnn as cnn_config
from genjax import data
from genjax.cnn import whitening


def test_constructed_patches_become_white():
    """Correlated patches of two channels: of the outputs the covariance is the identity."""
    random = np.random.default_rng(0)
    mixed = random.normal(size=(20_000, 8)) @ (random.normal(size=(8, 8)) + 4 * np.eye(8))
    patches = (mixed + 3).reshape(-1, 2, 2, 2).astype(np.float32)
    kernel = whitening.filters(patches)
    assert kernel.shape == (2, 2, 2, 16) and kernel.dtype == np.float32
    outputs = np.tensordot(patches, kernel[..., :8], axes=3)
    np.testing.assert_allclose(np.cov(outputs, rowvar=False, bias=True), np.eye(8), atol=0.01)
    np.testing.assert_array_equal(kernel[..., 8:], -kernel[..., :8])
    filters = kernel[..., :8].reshape(8, 8)
    np.testing.assert_array_equal(filters.max(axis=0), np.abs(filters).max(axis=0))


def test_four_numbers_by_hand():
    """Patches ±1 at one place and ±1/2 at the next; nothing ever at the other two."""
    patches = np.array([[s, t / 2, 0, 0] for s in (1, -1) for t in (1, -1)], np.float32)
    kernel = whitening.filters(patches.reshape(-1, 2, 2, 1)).reshape(4, 8)
    least = 5e-4 / 4
    np.testing.assert_allclose(kernel[:, 0], [1 / np.sqrt(1 + least), 0, 0, 0], atol=1e-7)
    np.testing.assert_allclose(kernel[:, 1], [0, 1 / np.sqrt(1 / 4 + least), 0, 0], atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(kernel[:, 2:4], axis=0), 1 / np.sqrt(least))


def test_patches_of_a_picture():
    picture = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
    expected = [picture[0, i : i + 2, 0:2] for i in (0, 1)]
    np.testing.assert_array_equal(whitening.patches(picture), expected)


def test_digits_and_data_that_were_not_opened():
    split = data.open_dataset(cnn_config.get_config().data).train
    found, shapes = whitening.statistics(split, 1), whitening.statistics(None, 1)
    assert found["kernel"].shape == shapes["kernel"].shape == (2, 2, 1, 8)
    assert found["mean"].shape == shapes["mean"].shape == (1,)
    every = data.examples(split, len(split))["image"]
    np.testing.assert_allclose(found["mean"][0], every.mean() / 127.5 - 1, atol=0.02)
