"""Stains that pictures are made of are found again, and moments become those that are wanted."""

import jax.numpy as jnp
import numpy as np
import pytest

from genjax.errors import UserError
from genjax.style import stains

# Ruifrok and Johnston 2001 list these optical densities: of hematoxylin, eosin and DAB.
HEMATOXYLIN, EOSIN, DAB = (
    np.array(v) / np.linalg.norm(v)
    for v in ([0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776])
)


def _slide(first, second, strength, seed=0):
    """(RGB f32[60, 50, 3], amounts f64[3000, 2]): both stains, each alone, and nothing."""
    amounts = np.random.default_rng(seed).uniform(0.2, 1.0, size=(3000, 2))
    amounts[:90, 1] = amounts[90:180, 0] = 0
    amounts[180:700] = 0
    amounts *= strength
    rgb = 10 ** -(amounts @ np.stack([first, second]))
    return rgb.reshape(60, 50, 3).astype(np.float32), amounts


@pytest.mark.parametrize("other", [EOSIN, DAB], ids=["eosin", "DAB"])
def test_stains_of_a_made_slide_are_recovered(other):
    for pair in ([HEMATOXYLIN, other], [other, HEMATOXYLIN]):
        picture, _ = _slide(*pair, 0.8)
        density = np.asarray(stains.to_density(jnp.asarray(picture)), np.float64).reshape(-1, 3)
        found = stains.stain_vectors(density)
        np.testing.assert_allclose(found, [HEMATOXYLIN, other], atol=1e-5)


def test_macenko_gives_one_slides_amounts_the_others_stains():
    picture, amounts = _slide(HEMATOXYLIN, EOSIN, [0.5, 0.4])
    like, wanted = _slide(HEMATOXYLIN[[1, 0, 2]], DAB, [0.7, 0.8], seed=1)
    vectors = np.stack([HEMATOXYLIN[[1, 0, 2]], DAB])
    scale = np.percentile(wanted, 99, axis=0) / np.percentile(amounts, 99, axis=0)
    found = _transferred("macenko", picture, [like])
    expected = 10 ** -((amounts * scale) @ vectors).reshape(picture.shape)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(_transferred("macenko", like, [like]), like, atol=1e-5)
    np.testing.assert_allclose(found.reshape(-1, 3)[200], 1.0, atol=1e-6)  # glass stays clear


def _transferred(name, picture, targets):
    method = stains.METHODS[name]
    change = stains.change(method, picture, targets)
    matrix, offset = (jnp.asarray(x, jnp.float32) for x in change)
    return np.asarray(stains.changed(method.space, jnp.asarray(picture), matrix, offset))


def test_reinhard_gives_the_moments_of_all_targets_together():
    picture, _ = _slide(HEMATOXYLIN, EOSIN, 0.3)
    targets = [_slide(HEMATOXYLIN, DAB, 0.4, seed)[0] for seed in (1, 2)]
    found = _transferred("reinhard", picture, targets)
    # Written out as in the paper.
    lms = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])

    def axes(rgb):
        l, m, s = np.log10(rgb.reshape(-1, 3).astype(np.float64) @ lms.T).T  # noqa: E741
        return np.stack([(l + m + s) / 3**0.5, (l + m - 2 * s) / 6**0.5, (l - m) / 2**0.5], axis=1)

    x, y = axes(picture), axes(np.concatenate(targets))
    expected = (x - x.mean(axis=0)) * y.std(axis=0) / x.std(axis=0) + y.mean(axis=0)
    inside = ((found > 0) & (found < 1)).all(axis=-1).ravel()
    assert inside.mean() > 0.5  # some lie outside of what can be shown
    np.testing.assert_allclose(axes(found)[inside], expected[inside], atol=1e-4)


def test_spaces_have_inverses():
    rgb = jnp.asarray(np.random.default_rng(0).uniform(0.01, 1, (4, 3)), jnp.float32)
    for method in stains.METHODS.values():
        np.testing.assert_allclose(method.space.back(method.space.of(rgb)), rgb, atol=2e-4)
    np.testing.assert_allclose(stains.to_density(jnp.array([1.0, 0.1, 0.0])), [0, 1, 2.4065], 1e-4)


def test_pictures_without_two_stains():
    picture, _ = _slide(HEMATOXYLIN, EOSIN, 0.5)
    alone, _ = _slide(HEMATOXYLIN, HEMATOXYLIN, 0.5)
    for bad, line in (
        (np.ones((4, 4, 3)), "hardly any stained tissue"),
        (alone, "shows one stain"),
    ):
        with pytest.raises(UserError, match=line):
            stains.change(stains.METHODS["macenko"], picture, [bad])
