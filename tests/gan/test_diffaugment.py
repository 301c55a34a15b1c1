"""DiffAugment on given random numbers, against NumPy written image by image."""

import jax
import numpy as np
import pytest

from genjax.gan import diffaugment

RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.random((5, diffaugment.NUMBERS)).astype(np.float32)
NUMBERS[:2, 3:] = [[0.0] * 4, [1 - 2**-23] * 4]  # the furthest shifts and boxes


def _images(channels=3, size=12):
    return RANDOM.uniform(-1, 1, (5, size, size, channels)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_color(channels):
    images = _images(channels)
    expected = []
    for x, u in zip(images, NUMBERS, strict=True):
        x = x + (u[0] - 0.5)
        grey = x.mean(axis=2, keepdims=True)
        x = (x - grey) * (u[1] * 2) + grey
        expected.append((x - x.mean()) * (u[2] + 0.5) + x.mean())
    found = jax.jit(diffaugment.color)(images, NUMBERS)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_translation():
    """Of 12 px by up to 2, each way; what comes in is 0, and nothing else changes by a bit."""
    images, found = _images(), None
    found = jax.jit(diffaugment.translation)(images, NUMBERS)
    seen = set()
    for x, u, y in zip(images, NUMBERS, found, strict=True):
        down, right = (int(v * 5) - 2 for v in u[3:5])
        seen.add(down)
        around = np.pad(x, ((2, 2), (2, 2), (0, 0)))
        np.testing.assert_array_equal(y, around[2 + down : 14 + down, 2 + right : 14 + right])
    assert {-2, 2} <= seen


def test_cutout():
    """A box of 6 of 12 px whose middle is one of 13 places, the last one beyond the border."""
    images = _images()
    found = jax.jit(diffaugment.cutout)(images, NUMBERS)
    for x, u, y in zip(images, NUMBERS, found, strict=True):
        row, column = (int(v * 13) for v in u[5:])
        expected = x.copy()
        expected[max(row - 3, 0) : row + 3, max(column - 3, 0) : column + 3] = 0
        np.testing.assert_array_equal(y, expected)


def test_gradients_pass_through():
    """All of it is linear but for constants, so that a difference of any size is the slope."""
    images, further, weights = _images(), _images(), _images()

    def total(images):
        for part in diffaugment.PARTS.values():
            images = part(images, NUMBERS)
        return (weights * images).sum()

    value, gradient = jax.jit(jax.value_and_grad(total))(images)
    difference = jax.jit(total)(further) - value
    np.testing.assert_allclose(np.vdot(gradient, further - images), difference, rtol=1e-4)
