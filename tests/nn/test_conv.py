"""The primitive equals the native operation in value, gradient and second derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.nn import backend
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


def _agree(ours, theirs, x, k):
    """Values, and gradients of a loss that is not linear."""

    def everything(f):
        return jax.jit(
            lambda x, k: (f(x, k), jax.grad(lambda *a: jnp.sin(f(*a)).sum(), (0, 1))(x, k))
        )

    found, expected = (jax.tree.leaves(everything(f)(x, k)) for f in (ours, theirs))
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 * float(jnp.abs(b).max()))


def _pair(*shapes):
    random = np.random.default_rng(1)
    return [np.float32(random.standard_normal(shape)) / 3 for shape in shapes]


@pytest.mark.parametrize("few", [(3, 6), (6, 3)], ids=str)
def test_large_kernels_of_few_channels(few, monkeypatch):
    """Widths that are no whole number of blocks, and another kernel along each axis' order."""
    monkeypatch.setattr(convolution, "spelled_out", lambda: True)
    edge = ((4, 4), (3, 4))
    x, k = _pair((2, 9, 14, few[0]), (9, 9, *few))
    _agree(
        lambda x, k: convolution.conv(x, k, 1, edge),
        lambda x, k: convolution._native(x, k, 1, edge),
        x,
        k,
    )


def test_convolution_of_enlarged_images():
    """Against the definition by NumPy's repeat and reflection; and its gradients, JAX's of that."""
    x, k = _pair((2, 4, 5, 3), (3, 3, 3, 4))

    def definition(x, k):
        large = x.repeat(2, axis=1).repeat(2, axis=2)
        large = jnp.pad(large, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        return convolution._native(large, k, 1, ((0, 0), (0, 0)))

    for spelled in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(convolution, "spelled_out", lambda spelled=spelled: spelled)
            _agree(lambda x, k: convolution.conv_of_nearest(x, k), definition, x, k)


def test_programs_without_gradients_have_the_same_values():
    x, k = _pair((1, 16, 16, 64), (3, 3, 64, 64))
    for often, stride in ((True, 1), (False, 1), (False, 2)):
        with backend.forward(often):
            found = jax.jit(lambda x, k, stride=stride: convolution.conv(x, k, stride))(x, k)
        expected = convolution._native(x, k, stride, ((0, 0), (0, 0)))
        np.testing.assert_allclose(found, expected, atol=1e-3)


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
