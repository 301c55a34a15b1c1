"""The colour step against NumPy, pixel by pixel."""

import jax.numpy as jnp
import numpy as np

from genjax.style import colours, pyramid, recolouring

_RANDOM = np.random.default_rng(0)


def _picture(height, width):
    return _RANDOM.uniform(0.1, 0.9, size=(height, width, 3)).astype(np.float32)


def test_the_contents_colours_get_the_styles_mean_and_covariance():
    content, style = _picture(7, 5), _picture(4, 6)
    wanted, limits = recolouring.of_content(jnp.asarray(content), [jnp.asarray(style)])
    c, s = (np.float64(colours.to_oklab(jnp.asarray(x))).reshape(-1, 3) for x in (content, style))
    np.testing.assert_allclose(limits, [s.min(axis=0), s.max(axis=0)], atol=1e-6)

    def root(a, power):
        values, vectors = np.linalg.eigh(a)
        return vectors @ np.diag(values**power) @ vectors.T

    of_c, of_s = (np.cov(x[:, 1:].T, bias=True) + 1e-4 * np.eye(2) for x in (c, s))
    change = root(of_s, 0.5) @ root(of_c, -0.5)
    expected = (c[:, 1:] - c[:, 1:].mean(axis=0)) @ change.T + s[:, 1:].mean(axis=0)
    np.testing.assert_allclose(wanted.reshape(-1, 2), expected, atol=1e-5)


def test_the_filter_is_a_loop_over_neighbours():
    x, guide = _RANDOM.normal(size=(4, 5, 2)), _RANDOM.uniform(size=(4, 5, 1))
    expected = x
    for _ in range(5):
        before, expected = expected, np.zeros_like(x)
        for i, j in np.ndindex(4, 5):
            total = 0
            for k, m in ((k, m) for k in (-1, 0, 1) for m in (-1, 0, 1)):
                at = np.clip(i + k, 0, 3), np.clip(j + m, 0, 4)
                weight = np.exp(-10 * abs(guide[at] - guide[i, j]))
                expected[i, j] += weight * before[at]
                total += weight
            expected[i, j] /= total
    found = recolouring.filtered(jnp.asarray(x, jnp.float32), jnp.asarray(guide, jnp.float32))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_large_areas_get_the_colours_and_strokes_stay():
    """In OKLab, the details of the result are those of the picture, and the rest is new."""
    picture = jnp.asarray(_picture(16, 16) * 0.2 + 0.4)
    wanted = jnp.broadcast_to(jnp.array([0.02, -0.03])[None, None], (16, 16, 2))
    limits = jnp.array([[0.0, -0.1, -0.1], [1.0, 0.1, 0.1]])
    found = colours.to_oklab(recolouring.recoloured(picture, wanted, limits))
    *details, rest = pyramid.decompose(found, 4)
    before = pyramid.decompose(colours.to_oklab(picture), 4)
    for ours, theirs in zip(details, before[:-1], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    lightness = np.asarray(before[-1])[0, 0, 0]
    np.testing.assert_allclose(rest[0, 0], [lightness, 0.02, -0.03], atol=1e-4)


def test_colours_keep_to_the_range_of_the_style():
    picture, wanted = jnp.full((4, 4, 3), 0.9), jnp.full((4, 4, 2), 0.3)
    limits = jnp.array([[0.2, -0.05, -0.05], [0.5, 0.05, 0.01]])
    found = colours.to_oklab(recolouring.recoloured(picture, wanted, limits))
    np.testing.assert_allclose(found, np.broadcast_to([0.5, 0.05, 0.01], (4, 4, 3)), atol=1e-4)
