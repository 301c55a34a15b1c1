"""Quantizers against hand-worked codes, and running means against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.errors import UserError
from genjax.vae import coded
from genjax.vae.quantizers import BOOK, REVIVE, CodeBook, Grid, nearest, perplexity
from tests.tiny import tiny


def _called(layer, variables, z, train=False):
    return layer.apply(variables, jnp.float32(z), train=train, mutable=[BOOK])


def test_a_grid_by_hand():
    """Levels 3, 5 and 4 of (0.25, 0.6, -7): codes 0, 1/2 and -1, and 1 + 3 * 3 + 15 * 0 = 10."""
    grid = Grid((3, 5, 4))
    found, _ = _called(grid, {}, [[0.25, 0.6, -7.0]])
    np.testing.assert_allclose(found.z, [[0, 0.5, -1]], atol=1e-6)
    assert found.index.tolist() == [10] and grid.codes == 60


def test_a_grid_reaches_all_its_codes_and_back():
    grid = Grid((3, 4))
    z = jnp.stack(jnp.meshgrid(*2 * [jnp.linspace(-4, 4, 41)]), -1).reshape(-1, 2)
    found, _ = _called(grid, {}, z)
    assert set(found.index.tolist()) == set(range(12))
    np.testing.assert_allclose(grid.vectors(found.index), found.z, atol=1e-6)


def test_a_grid_has_the_gradient_of_its_bound():
    """Of tanh(z + shift) half - offset, over the half of all levels: 4 levels, half 1.4985."""
    half = 1.5 * (1 - 1e-3)
    slope = jax.grad(lambda z: _called(Grid((4,)), {}, z)[0].z.sum())(jnp.array([[0.3]]))
    expected = half * (1 - np.tanh(0.3 + np.tan(0.5 / half)) ** 2) / 2
    np.testing.assert_allclose(slope, [[expected]], rtol=1e-5)


def test_the_nearest_code():
    book = jnp.array([[0.0, 0], [2, 0], [0, 2], [2, 0]])
    assert nearest(jnp.array([[1.6, 0.1], [0.2, 1.4], [-1, -1]]), book).tolist() == [1, 2, 0]


def _book(learned_by, **options):
    layer = CodeBook(codes=3, features=2, learned_by=learned_by, **options)
    variables = layer.init(jax.random.key(0), jnp.zeros((1, 2)), train=True)
    codes = jnp.array([[0.0, 0.0], [1.0, 1.0], [5.0, 5.0]])
    kind = "params" if learned_by == "loss" else BOOK
    return layer, variables | {kind: {**variables[kind], "codes": codes}}


_Z = np.array([[0.2, 0.0], [0.8, 1.0], [1.0, 1.4]])  # choose codes 0, 1 and 1


def test_running_means_by_hand():
    """Two updates: counts and sums of both, divided by 1 - 0.9^2, with Laplace smoothing."""
    layer, variables = _book("average", decay=0.9, epsilon=0.01)
    counts, sums = np.zeros(3), np.zeros((3, 2))
    for t in (1, 2):
        codes = np.float64(variables[BOOK]["codes"])
        index = ((_Z[:, None] - codes) ** 2).sum(-1).argmin(1)
        found, updated = _called(layer, variables, _Z, train=True)
        assert found.index.tolist() == index.tolist()
        variables = variables | updated
        for k in range(3):
            counts[k] = 0.9 * counts[k] + 0.1 * (index == k).sum()
            sums[k] = 0.9 * sums[k] + 0.1 * _Z[index == k].sum(0)
        n = counts / (1 - 0.9**t)
        smooth = (n + 0.01) / (n.sum() + 0.03) * n.sum()
        expected = sums / (1 - 0.9**t) / smooth[:, None]
        np.testing.assert_allclose(variables[BOOK]["codes"], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("revive", [0.0, 0.5])
def test_devices_count_the_whole_batch(revive):
    layer, variables = _book("average", revive=revive)
    z = np.concatenate([_Z, _Z + 0.1, _Z - 0.2, 2 * _Z])  # none chooses the last code
    whole = _revived(layer, variables, z)
    assert (whole["counts"][2] > 0) == bool(revive)
    shards = layer.clone(axis_name="d")
    of_shards = jax.vmap(lambda z: _revived(shards, variables, z), axis_name="d")
    found = jax.tree.map(lambda x: x[0], of_shards(z.reshape(2, 6, 2)))
    for ours, expected in zip(jax.tree.leaves(found), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5)


def _revived(layer, variables, z, seed=0):
    rngs = {REVIVE: jax.random.key(seed)}
    found = layer.apply(variables, jnp.float32(z), train=True, mutable=[BOOK], rngs=rngs)
    return found[1][BOOK]


def test_a_dead_code_becomes_a_vector_of_the_batch():
    """Codes 0, 1 and 2 have shares 1, 2 and 0 of a fair 1: the third is below a half of it."""
    layer, variables = _book("average")
    before = _called(layer, variables, _Z, train=True)[1][BOOK]
    after = jax.device_get(_revived(layer.clone(revive=0.5), variables, _Z))
    np.testing.assert_allclose(after["counts"], [0.01, 0.02, 0.01], rtol=1e-5)
    np.testing.assert_allclose(after["codes"][:2], before["codes"][:2], rtol=1e-4)
    assert np.abs(after["codes"][2] - _Z).max(1).min() < 1e-4
    np.testing.assert_allclose(after["sums"][2], 0.01 * after["codes"][2], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("revive", "lives"), [(0.4, True), (0.6, False)])
def test_a_code_below_a_part_of_a_fair_share_is_dead(revive, lives):
    """One of six vectors is half of what each of three codes would have."""
    layer, variables = _book("average")
    z = np.concatenate([_Z[:1], 4 + _Z[[0, 1, 2, 1, 2]]])
    assert _called(layer, variables, z)[0].index.tolist() == [0, *5 * [2]]
    counts = _revived(layer.clone(revive=revive), variables, z)["counts"]
    np.testing.assert_allclose(counts, [0.01 if lives else 0.02, 0.02, 0.05], rtol=1e-5)


def test_the_dead_become_different_vectors_at_random():
    """Five of six codes are far away, and come back as five of six vectors."""
    layer = CodeBook(codes=6, features=1, revive=0.1)
    variables = layer.init(jax.random.key(0), jnp.zeros((1, 1)), train=True)
    far = {**variables[BOOK], "codes": jnp.array([[0.0], [90], [91], [92], [93], [94]])}
    z = np.arange(1.0, 7)[:, None]
    again = jax.jit(lambda key: _revived(layer, {BOOK: far}, z, key)["codes"][1:, 0])
    drawn = [tuple(np.round(np.asarray(again(k)), 2).tolist()) for k in range(12)]
    assert all(len({*each}) == 5 and {*each} <= {1, 2, 3, 4, 5, 6} for each in drawn)
    assert {*sum(drawn, ())} == {1, 2, 3, 4, 5, 6} and len({*drawn}) > 1


@pytest.mark.parametrize("update", ["average", "loss"])
def test_losses_and_gradients_by_hand(update):
    """One vector (0.2, 0) beside the code 0: commitment 1/4 of 0.02, and the same of the code."""
    layer, variables = _book(update)
    found, _ = _called(layer, variables, _Z[:1])
    np.testing.assert_allclose(found.loss, [0.02 * (0.25 + (update == "loss"))], rtol=1e-5)
    np.testing.assert_allclose(found.z, [[0, 0]], atol=1e-7)
    # Straight through, and 1/4 of the mean of squares.
    slope = jax.grad(
        lambda z: (lambda q: 3 * q.z.sum() + q.loss.sum())(_called(layer, variables, z)[0])
    )
    np.testing.assert_allclose(slope(jnp.float32(_Z[:1])), [[3 + 0.25 * 0.2, 3]], rtol=1e-5)
    if update == "loss":
        of_book = jax.grad(lambda v: _called(layer, v, _Z[:1])[0].loss.sum())(variables)
        np.testing.assert_allclose(of_book["params"]["codes"][0], [-0.2, 0], rtol=1e-5)


def test_a_book_that_a_loss_teaches_revives_nothing():
    config = tiny("vqvae", **{"quantizer.learned_by": "loss"})
    with pytest.raises(UserError, match=r"set quantizer.learned_by=average or quantizer.revive=0"):
        coded.layers(config, (8, 8, 1)).quantizer(None)


def test_perplexity_by_hand():
    """Codes used 2, 1 and 1 times of 4: 2^1.5; one alone: 1."""
    index = jnp.array([[0, 0], [1, 2]])
    assert float(perplexity(index, 8)) == pytest.approx(2**1.5, rel=1e-5)
    assert float(perplexity(jnp.zeros((2, 2), jnp.int32), 8)) == pytest.approx(1, rel=1e-5)
    halves = jax.vmap(lambda x: perplexity(x, 8, "d"), axis_name="d")(index)
    np.testing.assert_allclose(halves, 2**1.5, rtol=1e-5)
