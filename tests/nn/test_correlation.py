"""Each way to compute the three operations equals the native ones, to the second derivative."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.nn import correlation

PADDING, NONE = ((1, 2), (0, -1)), ((0, 0), (0, 0))

# batch, height, width, kernel, Cin, Cout, and the tile (0 for direct)
SHAPES = [
    (2, 9, 9, 2, 6, 8, 2),
    (2, 7, 9, 2, 6, 8, 4),
    (1, 12, 10, 3, 6, 4, 2),
    pytest.param((1, 10, 9, 3, 6, 4, 4), marks=pytest.mark.slow),  # long to compile
    (2, 6, 7, 3, 3, 8, 0),
    (2, 6, 7, 3, 8, 3, 0),
    (2, 5, 4, 1, 8, 6, 0),
    (2, 7, 7, 5, 4, 6, 0),
    (2, 5, 5, 2, 5, 24, 0),
    (2, 6, 7, 3, 24, 5, 0),
]


def _native(x, kernel, padding):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_gradients_and_second_derivatives(shape, monkeypatch):
    b, height, width, size, cin, cout, tile = shape
    padding = NONE if size == 2 else PADDING  # an image's gradient is computed otherwise without
    monkeypatch.setattr(correlation, "tile", lambda *_, of="value": tile)
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=(b, height, width, cin)), jnp.float32)
    kernel = jnp.asarray(random.normal(size=(size, size, cin, cout)), jnp.float32)
    kernel /= np.sqrt(size * size * cin)
    weight = jnp.asarray(random.normal(size=_native(x, kernel, padding).shape), jnp.float32)

    def everything(f):
        def output(x, kernel):
            return jnp.sum(jnp.tanh(f(x, kernel)) * weight)

        def penalty(x, kernel):  # of gradients with respect to both: every rule is differentiated
            return sum(jnp.sum(jnp.square(slope)) for slope in jax.grad(output, (0, 1))(x, kernel))

        return (
            f(x, kernel),
            jax.grad(output, (0, 1))(x, kernel),
            jax.grad(penalty, (0, 1))(x, kernel),
        )

    ours = jax.jit(lambda: everything(partial(correlation.correlate, padding=padding)))()
    theirs = jax.jit(lambda: everything(partial(_native, padding=padding)))()
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, atol=2e-5 * float(jnp.abs(b).max()))


@pytest.mark.parametrize(
    ("outputs", "kernel", "tiles"),
    [
        ((64, 8, 8), (2, 2, 256, 128), (2, 4)),  # inside DCGAN
        ((1, 64, 64), (3, 3, 256, 256), (2, 4)),  # inside VGG16
        ((64, 16, 16), (2, 2, 12, 64), (0,)),  # three colours, in cells of 2 x 2
        ((1, 256, 256), (3, 3, 3, 64), (0,)),
        ((64, 28, 28), (3, 3, 8, 16), (0,)),  # few channels: filtering moves as much as it saves
        ((64, 8, 8), (1, 1, 256, 256), (0,)),
        ((64, 8, 8), (2, 3, 256, 128), (0,)),
    ],
)
@pytest.mark.parametrize("of", ["value", "image", "kernel"])
def test_the_way_is_chosen_by_the_shapes(outputs, kernel, tiles, of):
    assert correlation.tile(outputs, kernel, jnp.float32, of=of) in tiles
    assert correlation.tile(outputs, kernel, jnp.bfloat16, of=of) == 0


def test_only_the_gradient_of_a_kernel_with_few_channels_is_filtered():
    shapes = (64, 28, 28), (3, 3, 16, 16)  # the classifier's widest pictures
    tiles = [correlation.tile(*shapes, jnp.float32, of=of) for of in ("value", "image", "kernel")]
    assert tiles == [0, 0, 4]
