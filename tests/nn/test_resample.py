"""The resampling filters against zeros between pixels and a plain convolution, in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.nn import resample

F = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def _filtered(x, before, after, gain=1.0):
    """Zero padding, then the filter at every place where it fits."""
    x = np.pad(np.float64(x), ((0, 0), (before, after), (before, after), (0, 0)))
    h, w = x.shape[1] - 3, x.shape[2] - 3
    return gain * sum(F[i, j] * x[:, i : i + h, j : j + w] for i in range(4) for j in range(4))


def _up(x):
    wide = np.zeros((x.shape[0], 2 * x.shape[1], 2 * x.shape[2], x.shape[3]))
    wide[:, ::2, ::2] = x
    return _filtered(wide, 2, 1, gain=4)


@pytest.fixture
def x():
    return jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 6, 3)), jnp.float32)


def test_upsampling_filters_an_image_with_zeros_between_its_pixels(x):
    np.testing.assert_allclose(jax.jit(resample.upsample)(x), _up(x), atol=1e-6)


def test_downsampling_filters_and_takes_every_second_pixel(x):
    expected = _filtered(x, 1, 1)[:, ::2, ::2]
    np.testing.assert_allclose(jax.jit(resample.downsample)(x), expected, atol=1e-6)


@pytest.mark.parametrize("padding", [(1, 1), (2, 2), (2, 1)])
def test_the_filter_with_padding(x, padding):
    smooth = jax.jit(lambda x: resample.smooth(x, padding))
    np.testing.assert_allclose(smooth(x), _filtered(x, *padding), atol=1e-6)


def test_a_single_pixel_by_hand():
    """Along one axis: [1, 3, 3, 1] / 4 around it, from one pixel before its place on."""
    x = np.zeros((1, 4, 4, 1), np.float32)
    x[0, 1, 1, 0] = 16
    row = np.array([0, 1, 3, 3, 1, 0, 0, 0])
    np.testing.assert_array_equal(
        np.asarray(jax.jit(resample.upsample)(x))[0, :, :, 0], np.outer(row, row)
    )


@pytest.mark.parametrize(
    "operation",
    [resample.upsample, resample.downsample, lambda x: resample.smooth(x, (2, 1))],
    ids=["upsample", "downsample", "smooth"],
)
def test_gradients_are_transposes(x, operation):
    """<A x, y> = <x, Aᵀ y>, and the gradient of the gradient is A again."""
    shape = jax.eval_shape(operation, x).shape
    y = jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)

    @jax.jit
    def all_of(x, y):
        value, transpose = jax.vjp(operation, x)
        back, twice = jax.vjp(lambda y: transpose(y)[0], y)
        return value, back, twice(x)[0]

    value, back, again = (np.asarray(each) for each in all_of(x, y))
    np.testing.assert_allclose(np.vdot(value, y), np.vdot(back, x), rtol=1e-5)
    np.testing.assert_allclose(again, value, atol=1e-6)
