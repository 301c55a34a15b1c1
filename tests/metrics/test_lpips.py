import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from genjax.errors import UserError
from genjax.metrics import lpips

# Of each head, as the authors published them.
SUMS = {
    "vgg16": (6.92599, 8.85833, 17.51501, 51.52132, 47.03485),
    "alexnet": (2.34953, 16.14303, 39.26844, 27.19718, 20.31718),
}


@pytest.fixture(scope="module", params=SUMS)
def net(request):
    return lpips.load(request.param)


def pictures():
    a = skimage.data.astronaut()[:64, 100:170] / np.float32(255)
    noise = np.random.default_rng(0).standard_normal(a.shape).astype(np.float32) / 10
    return np.stack([a, a]), np.stack([a, np.clip(a + noise, 0, 1)])


def conv(x, layer, stride, padding):
    """A sum over the kernel's taps, in float64, as the network under test does not compute it."""
    kernel = np.asarray(layer["kernel"], np.float64)
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    height, width = ((n - kernel.shape[0]) // stride + 1 for n in x.shape[1:3])
    total = np.asarray(layer["bias"], np.float64)
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            window = x[:, i::stride, j::stride][:, :height, :width]
            total = total + window @ kernel[i, j]
    return np.maximum(total, 0)


def pool(x, size):
    height, width = ((n - size) // 2 + 1 for n in x.shape[1:3])
    parts = [
        x[:, i : i + 2 * height : 2, j : j + 2 * width : 2][:, :height, :width]
        for i in range(size)
        for j in range(size)
    ]
    return np.max(parts, axis=0)


def features(net, x):
    """The features that are compared, one layer after the other."""
    # The authors' scaling, of pictures in [-1, 1].
    x = (2.0 * x - 1 - np.array([-0.030, -0.088, -0.188])) / np.array([0.458, 0.448, 0.450])
    if net.net == "alexnet":
        for i, (stride, padding) in enumerate(((4, 2), (1, 2), (1, 1), (1, 1), (1, 1)), 1):
            x = conv(
                pool(x, 3) if i in (2, 3) else x,
                net.weights["network"][f"conv{i}"],
                stride,
                padding,
            )
            yield x
        return
    for block, depth in enumerate((2, 2, 3, 3, 3), 1):
        x = pool(x, 2) if block > 1 else x
        for i in range(1, depth + 1):
            x = conv(x, net.weights["network"][f"conv{block}_{i}"], 1, 1)
        yield x


def test_heads_and_pairs_as_an_independent_computation_has_them(net):
    heads = [np.asarray(head, np.float64) for head in net.weights["heads"].values()]
    np.testing.assert_allclose([head.sum() for head in heads], SUMS[net.net], rtol=1e-6)
    assert all((head >= 0).all() for head in heads)
    a, b = pictures()
    expected = np.zeros(2)
    for x, y, head in zip(features(net, a), features(net, b), heads, strict=True):
        unit = [z / np.sqrt((z * z).sum(-1, keepdims=True)) for z in (x, y)]
        expected += ((unit[0] - unit[1]) ** 2 @ head).mean((1, 2))
    found = jax.jit(lpips.distance, static_argnums=0)(net.net, net.weights, a, b)
    assert found[0] == pytest.approx(0, abs=1e-9)  # but for rounding
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-9)


def test_the_gradient_at_a_point_without_features_is_finite(net):
    black = jnp.zeros((1, 64, 64, 3))
    slope = jax.grad(lambda x: lpips.distance(net.net, net.weights, x, black + 0.5).sum())(black)
    assert np.isfinite(slope).all()


def test_an_unknown_network_is_an_error():
    with pytest.raises(UserError, match="vgg16"):
        lpips.load("vgg61")
