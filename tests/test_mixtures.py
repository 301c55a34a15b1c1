"""Mixtures: one that is known is found again, and draws are of it."""

import math

import jax
import numpy as np
import pytest

from genjax import mixtures, rng

_MEANS = np.array([[-4.0, 1.0], [3.0, 0.0]])
_COVARIANCES = np.array([[[1.0, 0.6], [0.6, 0.5]], [[0.3, -0.2], [-0.2, 2.0]]])
_WEIGHTS = np.array([0.25, 0.75])
_KNOWN = mixtures.Mixture(
    *(np.float32(x) for x in (_WEIGHTS, _MEANS, np.linalg.cholesky(_COVARIANCES)))
)


def _points(n):
    random = np.random.default_rng(0)
    kinds = random.choice(2, n, p=_WEIGHTS)
    noise = random.standard_normal((n, 2, 1))
    return _MEANS[kinds] + (np.linalg.cholesky(_COVARIANCES)[kinds] @ noise)[..., 0]


def test_a_known_mixture_is_found_again():
    found = mixtures.fit(_points(20_000), components=2)
    order = np.argsort(found.means[:, 0])
    np.testing.assert_allclose(found.weights[order], _WEIGHTS, atol=0.02)
    np.testing.assert_allclose(found.means[order], _MEANS, atol=0.06)
    covariances = found.factors @ found.factors.transpose(0, 2, 1)
    np.testing.assert_allclose(covariances[order], _COVARIANCES, atol=0.08)


def test_few_points_have_fewer_components():
    assert mixtures.fit(_points(5)).means.shape == (2, 2)


def test_draws_are_of_the_mixture():
    draw = jax.jit(lambda level: mixtures.draw(_KNOWN, jax.random.key(0), np.arange(20_000), level))
    found = np.asarray(draw(math.inf))
    for kind, here in enumerate((found[:, 0] < -0.5, found[:, 0] >= -0.5)):
        assert here.mean() == pytest.approx(_WEIGHTS[kind], abs=0.01)
        np.testing.assert_allclose(found[here].mean(0), _MEANS[kind], atol=0.05)
        np.testing.assert_allclose(np.cov(found[here].T), _COVARIANCES[kind], atol=0.08)
    # Truncated to nothing, they are the means, of the same components; a few reach over the border.
    means = np.where(found[:, :1] < -0.5, _MEANS[0], _MEANS[1])
    assert (np.abs(draw(1e-4) - means) < 1e-3).mean() > 0.999


def test_a_draw_depends_on_its_place_alone():
    key = rng.stream(0, rng.Stream.SAMPLE)
    whole = mixtures.draw(_KNOWN, key, np.arange(8), math.inf)
    np.testing.assert_array_equal(mixtures.draw(_KNOWN, key, np.arange(4, 8), math.inf), whole[4:])


def test_a_file_is_of_one_mark(tmp_path):
    mixtures.write(tmp_path / "a.npz", _KNOWN, "state 1")
    found = mixtures.read(tmp_path / "a.npz", "state 1")
    assert all((a == b).all() for a, b in zip(found, _KNOWN, strict=True))
    assert mixtures.read(tmp_path / "a.npz", "state 2") is None
    assert mixtures.read(tmp_path / "b.npz", "state 1") is None
