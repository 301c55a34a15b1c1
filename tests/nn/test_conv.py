"""The primitive equals the native operation in value, gradient and second derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.nn import conv as convolution

CONVS = [  # height, width, kernel, stride, padding
    (7, 9, 3, 1, 1),
    (4, 4, 4, 1, 0),
    (8, 8, 4, 2, 1),
    (7, 9, 3, 2, 1),
    (9, 6, 4, 2, 1),
    (5, 5, 1, 2, 0),
    (7, 7, 5, 3, 2),
]
TRANSPOSED = [
    (4, 5, 4, 2, 1),
    (1, 1, 4, 1, 0),
    (3, 4, 3, 2, 1),
    (3, 3, 3, 1, 1),
    (3, 3, 5, 3, 1),
    (4, 4, 2, 2, 0),
]


def _native_conv(stride, padding):
    edge = (padding, padding)
    return lambda x, k: convolution._native(x, k, stride, (edge, edge))


def _native_transpose(kernel, stride, padding):
    edge = (kernel - 1 - padding,) * 2
    return lambda x, k: convolution._native(x, k[::-1, ::-1], 1, (edge, edge), dilation=stride)


def _check(function, native, height, width, kernel):
    """Compares values, gradients, and the gradients of a gradient penalty."""
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=(2, height, width, 3)), jnp.float32)
    k = jnp.asarray(random.normal(size=(kernel, kernel, 3, 4)), jnp.float32)
    weight = jnp.asarray(random.normal(size=native(x, k).shape), jnp.float32)

    def everything(f):
        def output(x, k):
            return jnp.sum(jnp.tanh(f(x, k)) * weight)

        def penalty(x, k):
            slope = jax.grad(output)(x, k)
            return jnp.sum(jnp.square(jnp.sqrt(jnp.square(slope).sum((1, 2, 3))) - 1))

        return f(x, k), jax.grad(output, (0, 1))(x, k), jax.grad(penalty, (0, 1))(x, k)

    for ours, theirs in zip(
        jax.tree.leaves(jax.jit(lambda: everything(function))()),
        jax.tree.leaves(jax.jit(lambda: everything(native))()),
        strict=True,
    ):
        assert ours.shape == theirs.shape
        scale = float(jnp.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-4 * scale)


@pytest.mark.parametrize("case", CONVS, ids=str)
def test_conv_is_native(case, monkeypatch):
    monkeypatch.setattr(convolution, "spelled_out", lambda: True)
    height, width, kernel, stride, padding = case
    edge = (padding, padding)
    _check(
        lambda x, k: convolution.conv(x, k, stride, (edge, edge)),
        _native_conv(stride, padding),
        height,
        width,
        kernel,
    )


@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
def test_conv_transpose_is_native(case, monkeypatch):
    monkeypatch.setattr(convolution, "spelled_out", lambda: True)
    height, width, kernel, stride, padding = case
    _check(
        lambda x, k: convolution.conv_transpose(x, k, stride, padding),
        _native_transpose(kernel, stride, padding),
        height,
        width,
        kernel,
    )


@pytest.mark.parametrize("spelled_out", [True, False])
def test_conv_transpose_is_the_adjoint_of_conv(spelled_out, monkeypatch):
    """<conv(x, k), y> = <x, conv_transpose(y, k')> for k' with its channels exchanged."""
    monkeypatch.setattr(convolution, "spelled_out", lambda: spelled_out)
    random = np.random.default_rng(1)
    x = jnp.asarray(random.normal(size=(2, 8, 8, 3)), jnp.float32)
    y = jnp.asarray(random.normal(size=(2, 4, 4, 5)), jnp.float32)
    k = jnp.asarray(random.normal(size=(4, 4, 3, 5)), jnp.float32)
    left = jnp.vdot(convolution.conv(x, k, 2, ((1, 1), (1, 1))), y)
    right = jnp.vdot(x, convolution.conv_transpose(y, k.swapaxes(2, 3), 2, 1))
    np.testing.assert_allclose(left, right, rtol=1e-4)


def test_conv_by_hand():
    x = jnp.arange(9.0).reshape(1, 3, 3, 1)
    kernel = jnp.array([[1.0, 0.0], [0.0, -1.0]]).reshape(2, 2, 1, 1)
    # Each output is x[i, j] - x[i + 1, j + 1] = -4.
    np.testing.assert_array_equal(convolution.conv(x, kernel).ravel(), [-4.0] * 4)


def test_conv_transpose_by_hand():
    x = jnp.array([1.0, 10.0]).reshape(1, 1, 2, 1)
    kernel = jnp.array([[1.0, 2.0, 3.0]] * 3).reshape(3, 3, 1, 1)
    # Stride 2: rows [1, 2, 3 + 10, 20, 30], three times as the kernel has three equal rows.
    expected = [[1.0, 2.0, 13.0, 20.0, 30.0]] * 3
    np.testing.assert_array_equal(convolution.conv_transpose(x, kernel, 2)[0, :, :, 0], expected)


def test_space_to_depth_order_and_inverse():
    x = jnp.arange(2 * 4 * 4 * 3.0).reshape(2, 4, 4, 3)
    deep = convolution.space_to_depth(x, 2)
    np.testing.assert_array_equal(deep[0, 1, 0], x[0, 2:4, 0:2].ravel())
    np.testing.assert_array_equal(convolution.depth_to_space(deep, 2), x)


@pytest.mark.parametrize("steps", [1, 3])
def test_gradients_are_no_convolution_loops(steps):
    """Inside a loop, no convolution but the forward kind is left: the others would be naive."""

    def loss(kernel, x):
        return jnp.sum(jnp.square(convolution.conv(x, kernel, 2, ((1, 1), (1, 1)))))

    def train(kernel, x):
        return jax.lax.fori_loop(0, steps, lambda _, k: k - 0.1 * jax.grad(loss)(k, x), kernel)

    text = jax.jit(train).lower(jnp.ones((4, 4, 3, 8)), jnp.ones((2, 16, 16, 3))).as_text()
    assert "stablehlo.convolution" in text
    for line in text.splitlines():
        if "stablehlo.convolution" in line:
            assert "lhs_dilate = [1, 1]" in line or "lhs_dilate" not in line
            assert "reverse" not in line or "reverse = [false, false]" in line
            assert "[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]" in line, "a kernel gradient"
