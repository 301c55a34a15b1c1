import numpy as np
import pytest

from genjax.metrics import neighbours


def brute(x, y):
    return ((x[:, None].astype(np.float64) - y[None]) ** 2).sum(-1)


def sets(kind):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 30, 5)).astype(np.float32)
    far = [x + 1000, y + 1000]  # where float32 products know little of the distances
    grid = list(rng.integers(0, 3, (2, 40, 3)).astype(np.float32))  # ties, and examples twice
    return {"plain": [x, y], "far": far, "grid": grid, "one": [x, np.tile(y[:1], (20, 1))]}[kind]


@pytest.mark.parametrize("kind", ["plain", "far", "grid", "one"])
def test_as_the_definitions_in_float64(monkeypatch, kind):
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    monkeypatch.setattr(neighbours, "_GROUP", 3)
    x, y = sets(kind)
    squared, index = neighbours.nearest(x, y, 3)
    order = np.argsort(brute(x, y), 1, kind="stable")[:, :3]
    np.testing.assert_array_equal(index, order)
    np.testing.assert_allclose(squared, np.take_along_axis(brute(x, y), order, 1), rtol=1e-12)
    radii = neighbours.radii(y, 4)
    expected = brute(y, y)
    np.fill_diagonal(expected, np.inf)
    np.testing.assert_allclose(radii, np.sort(expected, 1)[:, 3], rtol=1e-12)
    for border in (True, False):
        found = np.concatenate(list(neighbours.inside(x, y, radii, border)))
        wanted = brute(x, y) <= radii if border else brute(x, y) < radii
        np.testing.assert_array_equal(found, wanted)
