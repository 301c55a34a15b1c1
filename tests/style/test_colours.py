"""Colour spaces by published values and scikit-image; matching by the moments that it promises."""

import jax.numpy as jnp
import numpy as np
import pytest
from skimage import color as skimage_color

from genjax import images
from genjax.errors import UserError
from genjax.style import colours

RANDOM = np.random.default_rng(0).uniform(size=(5, 7, 3)).astype(np.float32)

# CSS Color Module Level 4 lists these colours in OKLab.
OKLAB = {
    (1, 1, 1): (1.0, 0.0, 0.0),
    (1, 0, 0): (0.62796, 0.22486, 0.12585),
    (0, 1, 0): (0.86644, -0.23389, 0.17950),
    (0, 0, 1): (0.45201, -0.03246, -0.31153),
}


@pytest.mark.parametrize("rgb", OKLAB)
def test_oklab_of_known_colours(rgb):
    found = colours.to_oklab(jnp.array(rgb, jnp.float32))
    np.testing.assert_allclose(found, OKLAB[rgb], atol=2e-5)


def test_yiq_is_scikit_images():
    expected = skimage_color.rgb2yiq(RANDOM)
    np.testing.assert_allclose(colours.to_yiq(jnp.asarray(RANDOM)), expected, atol=1e-5)


@pytest.mark.parametrize("space", colours.SPACES.values(), ids=colours.SPACES)
def test_spaces_have_inverses_and_greys(space):
    np.testing.assert_allclose(space.back(space.of(jnp.asarray(RANDOM))), RANDOM, atol=2e-5)
    shades = jnp.linspace(0.0, 1.0, 5)
    greys = jnp.stack([shades] * 3, axis=-1)
    lightness = space.of(greys)
    np.testing.assert_allclose(lightness[:, 1:], 0.0, atol=2e-5)
    np.testing.assert_allclose(colours.grey(space, lightness[:, 0]), greys, atol=2e-5)


@pytest.mark.parametrize("space", colours.SPACES.values(), ids=colours.SPACES)
def test_lightness_of_one_picture_and_colours_of_another(space):
    other = jnp.asarray(RANDOM[::-1])
    mixed = space.of(colours.with_colours_of(space, jnp.asarray(RANDOM), other))
    if space is colours.SPACES["oklab"]:  # a colour that no screen has is bent on its way back
        np.testing.assert_allclose(mixed[..., 0].mean(), space.of(RANDOM)[..., 0].mean(), atol=0.05)
        return
    np.testing.assert_allclose(mixed[..., 0], space.of(jnp.asarray(RANDOM))[..., 0], atol=1e-5)
    np.testing.assert_allclose(mixed[..., 1:], space.of(other)[..., 1:], atol=1e-5)


def test_matched_colours_have_the_targets_moments():
    target = RANDOM.reshape(-1, 3) @ np.array([[0.5, 0.1, 0.0], [0.0, 0.3, 0.2], [0.0, 0.0, 0.7]])
    x = np.random.default_rng(1).uniform(size=(40, 3)) ** 2
    found = colours.matched(x, target)
    np.testing.assert_allclose(found.mean(axis=0), target.mean(axis=0), atol=1e-9)
    expected = np.cov(target.T, bias=True)
    np.testing.assert_allclose(np.cov(found.T, bias=True), expected, rtol=1e-5, atol=1e-9)


def test_matching_by_hand():
    """Variances 1 and 4 become 9 and 1 about (10, 20); the axes stay, as no root turns them."""
    x = np.array([[1.0, 2.0], [-1.0, 2.0], [1.0, -2.0], [-1.0, -2.0]])
    target = x * [3.0, 0.5] + [10.0, 20.0]
    np.testing.assert_allclose(colours.matched(x, target), target, atol=1e-12)


def test_a_picture_without_colours_gets_what_it_can():
    """Of a grey picture no direction but grey varies: its mean becomes the target's, all finite."""
    grey = np.repeat(RANDOM[..., :1], 3, axis=-1)
    found = colours.matched(grey, RANDOM)
    np.testing.assert_allclose(found.mean(axis=(0, 1)), RANDOM.mean(axis=(0, 1)), atol=1e-6)
    np.testing.assert_array_equal(np.ptp(colours.matched(grey * 0 + 0.5, RANDOM), axis=(0, 1)), 0)


def test_pictures_are_prepared():
    contents = np.stack([images.fit(images.load(name), 24)[:16] for name in ("cat", "coffee")])
    styles = [images.fit(images.load("astronaut"), 24)[None]]
    same = colours.prepared("style", contents, styles)
    assert same[0] is contents and same[1] is styles
    kept, (style,) = colours.prepared("match", contents, styles)
    assert kept is contents and style.shape == styles[0].shape and style.dtype == np.uint8
    before, after = (
        np.abs(x.mean(axis=(0, 1, 2)) - contents.mean(axis=(0, 1, 2))) for x in (*styles, style)
    )
    assert after.max() < 6 < before.max()  # of 255: what lies outside of the 8 bits is clipped
    for how in colours.SPACES:
        greys, (style,) = colours.prepared(how, contents, styles)
        assert greys.shape == contents.shape and greys.dtype == np.uint8
        assert np.ptp(greys.astype(int), axis=-1).max() <= 1
        assert np.ptp(style.astype(int), axis=-1).max() <= 1
        assert abs(style.mean() - greys.mean()) < 6 and abs(style.std() - greys.std()) < 6
    with pytest.raises(UserError, match="color='oklap' is unknown; did you mean 'oklab'"):
        colours.prepared("oklap", contents, styles)
