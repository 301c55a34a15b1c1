"""Projection finds a known style; its schedule and its penalty by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.gan import mapping, projector, stylegan2
from tests.gan.drawn import KEY, drawn


def test_a_known_style_is_found():
    """A picture of a tiny generator, from its own noise strengths of 0."""
    generator = stylegan2.Generator(8, 1, base=32, width=4, style=3, layers=1)
    z = jnp.zeros((1, 2))
    variables = drawn(generator, z, train=False)
    params = jax.tree_util.tree_map_with_path(
        lambda path, x: x * ("noise_strength" not in jax.tree_util.keystr(path)),
        variables["params"],
    )

    def draw(found):
        ws = mapping.for_layers(found.style[None], 4)
        given = {"params": params, "buffers": found.noise}
        return generator.apply(given, ws, train=False, method="draw")[0]

    truth = projector.Projection(jnp.array([0.7, -0.4, 1.1]), variables["buffers"])
    start = truth._replace(style=jnp.zeros(3))

    @jax.jit
    def run():
        target = draw(truth)
        scale = jnp.square(target).mean()
        return projector.project(
            draw, lambda x: jnp.square(x - target).mean() / scale, start, 1.0, KEY, steps=150
        )

    found, distances = run()
    np.testing.assert_allclose(found.style, truth.style, atol=0.02)
    assert distances[-1] < 1e-3 < distances[0]
    for x in jax.tree.leaves(found.noise):
        np.testing.assert_allclose([x.mean(), jnp.square(x).mean()], [0, 1], atol=1e-5)


def test_the_rate_by_hand():
    """Half of 0.1 after half of the rise, all of it until a quarter is left, then half, then 0."""
    shares = jnp.array([0.0, 0.025, 0.05, 0.75, 0.875, 1.0])
    expected = [0, 0.05, 0.1, 0.1, 0.05, 0]
    np.testing.assert_allclose(projector.learning_rate(shares), expected, atol=1e-7)


def test_the_spread_of_styles_by_hand():
    mean, deviation = projector.spread_of(jnp.array([[0.0, 0.0], [6.0, 8.0]]))
    np.testing.assert_array_equal(mean, [3, 4])
    np.testing.assert_allclose(deviation, 5)


def test_the_penalty_of_noise_by_hand():
    """Stripes of +1 and -1: rows are alike, columns opposite; of 16 px, a halving is 0."""
    stripes = jnp.tile(jnp.array([1.0, -1.0]), (16, 8))
    np.testing.assert_allclose(projector.noise_penalty({"a": stripes}), 2)
    np.testing.assert_allclose(projector.noise_penalty([jnp.ones((16, 16))]), 4)
    np.testing.assert_allclose(projector.noise_penalty([jnp.ones((8, 8))]), 2)
