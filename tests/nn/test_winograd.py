"""Minimal filtering against the published matrices, and against direct sums in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.nn import winograd

PADDING = ((1, 0), (2, -1))  # which adds one pixel to each axis
CASES = [(2, 2), (4, 2), (2, 3), (4, 3)]  # m, r


def test_two_outputs_of_three_taps_are_those_of_lavin_and_gray():
    """arXiv:1509.09308, §4.1: products of their F(2, 3), up to the scales of its factors."""
    window, kernel, output = winograd.matrices(2, 3)
    theirs = (
        np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]),
        np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
        np.array([[1, 1, 1, 0], [0, 1, -1, -1]]),
    )
    ours = np.einsum("am,mw,mk->amwk", output, window, kernel)
    expected = np.einsum("am,mw,mk->amwk", theirs[2], theirs[0], theirs[1])
    np.testing.assert_allclose(ours, expected, atol=1e-12)


@pytest.mark.parametrize(("m", "r"), CASES)
def test_one_dimension_by_hand(m, r):
    """y[i] = sum over j of d[i + j] k[j], in float64."""
    random = np.random.default_rng(0)
    d, k = random.normal(size=m + r - 1), random.normal(size=r)
    window, kernel, output = winograd.matrices(m, r)
    expected = [d[i : i + r] @ k for i in range(m)]
    np.testing.assert_allclose(output @ ((kernel @ k) * (window @ d)), expected, rtol=1e-11)


def _direct(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), PADDING, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize("size", [pytest.param((9, 9), marks=pytest.mark.slow), (7, 10)], ids=str)
@pytest.mark.parametrize(("m", "r"), CASES)
def test_values_and_gradients_of_kernels_round_as_documented(m, r, size):
    """Also where tiles reach beyond the edge."""
    _compare(m, r, (4, *size))


@pytest.mark.parametrize("shape", [(5, 7, 10), (1, 19, 10)], ids=["examples", "rows"])
def test_blocks_that_do_not_divide_a_batch_or_a_picture(monkeypatch, shape):
    """Two blocks of three pictures each, or of three rows of tiles."""
    tiles = {5: 3 * 2 * 3, 1: 3 * 3}[shape[0]]
    monkeypatch.setattr(winograd, "_BLOCK", 36 * 48 * tiles)
    monkeypatch.setattr(winograd, "_LEAST_TILES", 1)
    assert winograd._division(shape[0], shape[1] - 1, shape[2] - 1, 48, 4, 3).count == 2
    _compare(4, 3, shape)


def _compare(m, r, shape):
    """At most 3 times the error of a direct sum for tiles of 2, and 12 times for tiles of 4."""
    random = np.random.default_rng(0)
    x = random.normal(size=(*shape, 32)).astype(np.float32)
    kernel = random.normal(size=(r, r, 32, 16)).astype(np.float32)
    g = random.normal(size=(shape[0], shape[1] - r + 2, shape[2] - r + 2, 16)).astype(np.float32)

    def direct(x, kernel, g):
        y, back = jax.vjp(_direct, x, kernel)
        return y, back(g)[1]

    def ours(x, kernel, g):
        return (
            winograd.correlate(x, kernel, PADDING, m),
            winograd.kernel_gradient(x, g, PADDING, m),
        )

    with jax.enable_x64(True):
        exact = jax.tree.map(np.asarray, direct(*(jnp.float64(a) for a in (x, kernel, g))))
    found, plain = jax.jit(ours)(x, kernel, g), jax.jit(direct)(x, kernel, g)
    for ours_, plain_, exact_ in zip(found, plain, exact, strict=True):
        scale = np.sqrt(np.mean(exact_**2))
        errors = [np.sqrt(np.mean((np.asarray(a) - exact_) ** 2)) / scale for a in (ours_, plain_)]
        assert ours_.shape == exact_.shape and ours_.dtype == jnp.float32
        assert errors[0] < {2: 3, 4: 12}[m] * max(errors[1], 1.2e-7), errors
