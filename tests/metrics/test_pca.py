import numpy as np
import pytest
from sklearn.decomposition import PCA

from genjax.metrics import detection, pca


def pictures(n, side=6, rank=3, seed=0):
    """f64[n, side, side, 2] that vary in `rank` directions, but for a little noise."""
    generator = np.random.default_rng(seed)
    basis = np.random.default_rng(9).standard_normal((rank, side * side * 2))
    x = generator.standard_normal((n, rank)) @ basis
    return (x + 0.1 * generator.standard_normal(x.shape)).reshape(n, side, side, 2)


def test_by_hand():
    """Pictures of two pixels on the line (t, t); (1, 3) is (-1, 1) from the nearest of it."""
    line = np.array([[0, 0], [2, 2], [4, 4.0]]).reshape(3, 1, 2, 1)
    fitted = pca.fit(line, 1)
    assert np.allclose(fitted.mean, [2, 2])
    assert np.allclose(abs(fitted.directions), [[0.5**0.5] * 2])
    other = np.array([[1, 3], [7, 7.0]]).reshape(2, 1, 2, 1)
    assert np.allclose(pca.error_maps(fitted, other), [[[1, 1]], [[0, 0]]])
    # There is no second direction: nothing varies across the line.
    assert len(pca.fit(line, 2).directions) == 1


@pytest.mark.parametrize("n", [200, 20])  # more pictures than numbers in one, and fewer
def test_against_scikit_learn(n):
    x, held_out = pictures(n), pictures(5, seed=1)
    fitted = pca.fit(x, 4)
    assert np.allclose(fitted.directions @ fitted.directions.T, np.eye(4))
    peer = PCA(4, svd_solver="full").fit(x.reshape(n, -1))
    flat = held_out.reshape(5, -1)
    left = (flat - peer.inverse_transform(peer.transform(flat))) ** 2
    left = left.reshape(held_out.shape)
    assert np.allclose(pca.error_maps(fitted, held_out), left.mean(axis=3))


def test_what_training_pictures_never_do_counts_in_full():
    """Their border is black; a direction there would be any, and hide what shows there."""
    x = pictures(200)
    x[:, 0] = 0
    spot = pictures(1, seed=1)
    spot[:, 0] = 0
    spot[:, 0, 2] = 3.0
    fitted = pca.fit(x, 72)
    assert len(fitted.directions) == 60
    assert pca.error_maps(fitted, spot)[0, 0].tolist() == pytest.approx([0, 0, 9, 0, 0, 0])


def test_it_finds_other_pictures():
    x, same = pictures(200), pictures(50, seed=1)
    other = np.random.default_rng(2).standard_normal(same.shape)
    maps = pca.error_maps(pca.fit(x, 3), np.concatenate([same, other]))
    assert detection.auroc(maps.mean((1, 2)), np.arange(100) >= 50) > 0.95


@pytest.mark.parametrize(("n", "components"), [(5, 5), (5, 0), (200, 73)])
def test_impossible_numbers_of_components(n, components):
    with pytest.raises(ValueError, match=f"have 1 to {min(n - 1, 72)} components, not"):
        pca.fit(pictures(n), components)
