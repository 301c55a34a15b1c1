"""The transformation network beside PyTorch's, its published sizes, its norm beside a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.nn import ConditionalInstanceNorm, backend
from genjax.style.transformation import KINDS, TransformationNetwork, painted


def _count(kind, styles, channels=3):
    network = TransformationNetwork(styles, kind=kind)
    shapes = jax.eval_shape(
        network.init, jax.random.key(0), jnp.zeros((1, 8, 8, channels)), jnp.ones((1, styles))
    )
    return sum(x.size for x in jax.tree.leaves(shapes))


def test_parameters_are_as_many_as_published():
    assert _count("johnson", 1) == 1_679_235
    assert [_count("conditional", n) for n in (1, 5)] == [1_674_432 + n * 3_206 for n in (1, 5)]


def test_parameters_of_a_network_for_clips_by_hand():
    """9 x 9 kernels of 32 features for four channels more: the picture before, and the mask."""
    convolutions = [9 * 9 * 7 * 32, 9 * 32 * 64, 9 * 64 * 128, 10 * 9 * 128 * 128]
    convolutions += [9 * 128 * 64, 9 * 64 * 32, 9 * 9 * 32 * 3]
    features = 32 + 64 + 128 + 10 * 128 + 64 + 32  # a scale and a shift each, and biases
    assert _count("johnson", 1, 7) == sum(convolutions) + 3 * features + 3 == 1_689_603
    assert _count("conditional", 2, 7) == sum(convolutions) + 2 * 2 * (features + 3)


def _drawn(variables, seed):
    """Variables of the same shapes: norms away from 1 and 0, all of a size that keeps numbers."""
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.float32(x + 0.1 * random.standard_normal(x.shape)), variables)


def test_instance_norm_is_a_loop_over_examples_and_styles():
    random = np.random.default_rng(0)
    x = random.normal(3, 2, (3, 4, 5, 2)).astype(np.float32)
    shares = np.float32([[0, 1, 0], [0.25, 0.25, 0.5], [1, 0, 0]])
    norm = ConditionalInstanceNorm(3)
    first = norm.init(jax.random.key(0), x, shares)
    assert jax.tree.map(jnp.shape, first["params"]) == {"scale": (3, 2), "bias": (3, 2)}
    variables = _drawn(first, 1)
    expected = np.empty_like(x)
    for i, example in enumerate(np.float64(x)):
        for c in range(2):
            scale, bias = 0.0, 0.0
            for s in range(3):
                scale += shares[i, s] * float(variables["params"]["scale"][s, c])
                bias += shares[i, s] * float(variables["params"]["bias"][s, c])
            channel = example[..., c]
            variance = ((channel - channel.mean()) ** 2).mean()
            expected[i, ..., c] = (channel - channel.mean()) / np.sqrt(variance + 1e-5) * scale
            expected[i, ..., c] += bias
    np.testing.assert_allclose(norm.apply(variables, x, shares), expected, atol=2e-6)


def test_gradient_of_instance_norm():
    """Against what JAX derives of the definition itself."""
    random = np.random.default_rng(2)
    x, g = random.normal(1, 2, (2, 2, 3, 4, 2)).astype(np.float32)
    shares = np.float32([[0, 1], [0.5, 0.5]])
    norm = ConditionalInstanceNorm(2)
    variables = _drawn(norm.init(jax.random.key(0), x, shares), 3)

    def plain(variables, x):
        scale, bias = (shares @ variables["params"][name] for name in ("scale", "bias"))
        centred = x - x.mean((1, 2), keepdims=True)
        deviation = jnp.sqrt(jnp.square(centred).mean((1, 2), keepdims=True) + 1e-5)
        return centred / deviation * scale[:, None, None] + bias[:, None, None]

    def slopes(function):
        return jax.jit(jax.grad(lambda *a: (function(*a) * g).sum(), (0, 1)))(variables, x)

    ours, theirs = slopes(lambda v, x: norm.apply(v, x, shares)), slopes(plain)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), ours, theirs)


def _in_torch(torch, params, x, share, kind, blocks):
    """The network written with PyTorch's functions, of pictures f32[B, 3, H, W]."""
    functional = torch.nn.functional
    convs = iter(range(7 + 2 * blocks))
    norms = iter(range(7 + 2 * blocks))

    def layer(x, stride=1, norm=True):
        found = params[f"Conv_{next(convs)}"]
        kernel = torch.tensor(np.array(found["kernel"])).permute(3, 2, 0, 1)
        bias = torch.tensor(np.array(found["bias"])) if "bias" in found else None
        edge = kernel.shape[-1] // 2
        x = functional.pad(x, (edge,) * 4, mode="reflect")
        x = functional.conv2d(x, kernel, bias, stride=stride)
        if norm:
            found = params[f"ConditionalInstanceNorm_{next(norms)}"]
            scale, shift = (torch.tensor(share @ np.array(found[n])) for n in ("scale", "bias"))
            x = functional.instance_norm(x, weight=scale, bias=shift, eps=1e-5)
        return x

    def doubled(x):
        return functional.interpolate(x, scale_factor=2, mode="nearest")

    relu = functional.relu
    x = relu(layer(x if kind == "conditional" else 255 * x))
    x = relu(layer(x, 2))
    x = relu(layer(x, 2))
    for _ in range(blocks):
        x = x + layer(relu(layer(x)))
    x = relu(layer(doubled(x)))
    x = relu(layer(doubled(x)))
    x = layer(x, norm=kind == "conditional")
    return torch.sigmoid(x) if kind == "conditional" else x / 255


@pytest.mark.parametrize("kind", KINDS)
def test_the_network_is_pytorchs(kind):
    torch = pytest.importorskip("torch")
    network = TransformationNetwork(2, width=4, blocks=2, kind=kind)
    image = np.random.default_rng(4).uniform(size=(2, 12, 16, 3)).astype(np.float32)
    share = np.float32([0.25, 0.75])
    with backend.forward(often=False):  # as `--mode=stylize` has it
        shapes = jax.eval_shape(network.init, jax.random.key(0), image[:1], share[None])
        variables = _drawn(jax.tree.map(lambda x: np.ones(x.shape, np.float32) * 0.0, shapes), 5)
        found = jax.jit(lambda v, x: network.apply(v, x, jnp.tile(share, (2, 1))))(variables, image)
    pictures = torch.tensor(image).permute(0, 3, 1, 2)
    expected = _in_torch(torch, variables["params"], pictures, share, kind, 2)
    np.testing.assert_allclose(found, expected.permute(0, 2, 3, 1).numpy(), atol=1e-4)
    assert np.ptp(found) > 1e-3


def test_any_size():
    """What is added to a side that is no multiple of 4 is the picture, reflected, and cut off."""
    network = TransformationNetwork(1, width=2, blocks=1)
    image = np.random.default_rng(6).uniform(size=(1, 7, 10, 3)).astype(np.float32)
    one = np.ones((1, 1), np.float32)
    with backend.native():
        variables = jax.jit(network.init)(jax.random.key(0), image[:, :4, :4], one)
        found = jax.jit(lambda v, x: painted(network, v, x, one))(variables, image)
        whole = np.pad(image, ((0, 0), (0, 1), (0, 2), (0, 0)), mode="reflect")
        expected = jax.jit(network.apply)(variables, whole, one)[:, :7, :10]
    assert found.shape == image.shape
    np.testing.assert_allclose(found, expected, atol=1e-6)
