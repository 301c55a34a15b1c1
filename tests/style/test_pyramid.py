"""Pyramids against PyTorch's, and back."""

import jax.numpy as jnp
import numpy as np
import pytest

from genjax.style import pyramid


def _picture(height, width):
    return np.random.default_rng(0).uniform(size=(height, width, 3)).astype(np.float32)


def test_levels_are_those_of_pytorch():
    torch = pytest.importorskip("torch")

    def resized(x, size):
        return torch.nn.functional.interpolate(x, size, mode="bilinear", align_corners=False)

    picture = _picture(13, 9)
    x, expected = torch.tensor(picture).permute(2, 0, 1)[None], []
    for size in ((6, 4), (3, 2), (1, 1)):
        small = resized(x, size)
        expected.append(x - resized(small, tuple(x.shape[2:])))
        x = small
    found = pyramid.decompose(jnp.asarray(picture), 3)
    assert len(found) == 4
    for ours, theirs in zip(found, [*expected, x], strict=True):
        np.testing.assert_allclose(ours, theirs[0].permute(1, 2, 0), atol=1e-6)


def test_levels_make_the_picture():
    picture = _picture(11, 6)
    levels = pyramid.decompose(jnp.asarray(picture), 2)
    np.testing.assert_allclose(pyramid.compose(levels), picture, atol=1e-6)
    np.testing.assert_allclose(pyramid.compose(levels[1:]), pyramid.halved(jnp.asarray(picture)))
    assert pyramid.halved(jnp.asarray(picture), 2).shape == (2, 1, 3)


def test_how_often_a_picture_can_be_halved():
    assert [pyramid.depth(512, 400, 8), pyramid.depth(128, 96, 8)] == [8, 6]
    assert [pyramid.depth(16, 12, 8), pyramid.depth(1, 9, 8)] == [3, 0]
