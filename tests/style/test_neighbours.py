"""Matching and its loss against loops over features, and by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.style import neighbours


def _cosine(a, b):
    return a @ b / max(np.linalg.norm(a), 1e-8) / max(np.linalg.norm(b), 1e-8)


def _style(features):
    return neighbours.target([jnp.asarray(features, jnp.float32)[None]])


def test_matching_and_loss_are_those_of_a_loop():
    random = np.random.default_rng(0)
    x, style = random.uniform(size=(2, 9, 5)), random.uniform(size=(11, 5))
    x[0, 0] = 0  # a place that no feature sees
    nearest, losses = np.zeros((2, 9), int), []
    for b in range(2):
        for n in range(9):
            about = [_cosine(x[b, n] - x[b].mean(0), y - style.mean(0)) for y in style]
            nearest[b, n] = np.argmax(about)
        losses.append(np.mean([1 - _cosine(x[b, n], style[nearest[b, n]]) for n in range(9)]))
    given = jnp.asarray(x, jnp.float32), _style(style)
    np.testing.assert_array_equal(neighbours.nearest(*given), nearest)
    np.testing.assert_allclose(neighbours.distance(*given), losses, rtol=1e-4)


def test_blocks_of_rows_find_the_same(monkeypatch):
    random = np.random.default_rng(1)
    x, style = random.normal(size=(2, 9, 5)), random.normal(size=(11, 5))
    given = jnp.asarray(x, jnp.float32), _style(style)
    whole = neighbours.nearest(*given)
    monkeypatch.setattr(neighbours, "_MOST_COSINES", 4 * 11)  # blocks of 4, of 18 rows
    np.testing.assert_array_equal(neighbours.nearest(*given), whole)


def test_a_distance_about_the_means_is_that_of_a_loop():
    random = np.random.default_rng(2)
    x, style = random.uniform(size=(6, 4)), random.uniform(size=(7, 4))
    losses = [
        min(1 - _cosine(one - x.mean(0), other - style.mean(0)) for other in style) for one in x
    ]
    found = neighbours.centred_distance(jnp.asarray(x, jnp.float32)[None], _style(style))
    np.testing.assert_allclose(found, [np.mean(losses)], rtol=1e-4)


def test_the_mean_of_each_set_is_taken_off():
    """All of x is nearest to (9, 1) by its angle; about the means it is on either side."""
    x = jnp.array([[[10.0, 1.0], [8.0, 1.0]]])
    style = jnp.array([[9.0, 1.0], [1.0, 1.0]])
    np.testing.assert_array_equal(neighbours.nearest(x, _style(style)), [[0, 1]])


def test_the_gradient_turns_features_towards_their_neighbours():
    x, style = jnp.array([[[1.0, 0.1], [0.1, 1.0]]]), jnp.array([[1.0, 0.0], [0.0, 1.0]])
    gradient = jax.grad(lambda x: neighbours.distance(x, _style(style))[0])(x)
    # d(1 - cos)/dx of (1, t) beside (1, 0), halved by the mean of two
    t, size = 0.1, 1.01**0.5
    np.testing.assert_allclose(gradient[0, 0], [-(t**2) / size**3 / 2, t / size**3 / 2], rtol=1e-4)


def test_places_are_at_most_64_a_side():
    features = jnp.arange(130 * 7.0).reshape(1, 130, 7, 1)
    found = neighbours.places(features)
    assert found.shape == (1, 44 * 3, 1)
    np.testing.assert_array_equal(found[0, :4, 0], [0, 3, 6, 21])
