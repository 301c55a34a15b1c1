"""The learned linear transform: its published sizes, and the same in PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from clu import parameter_overview

from genjax.nn import backend
from genjax.style import linear
from genjax.style.transforms import mixed


@pytest.mark.parametrize(("features", "count"), [(512, 5_156_192), (256, 2_890_464)])
def test_parameters(features, count):
    """Of relu4_1 and of relu3_1."""
    network, code = linear.LinearTransform(features, 32), jnp.zeros((1, 4, 4, features))
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), code, code)["params"])
    assert parameter_overview.count_parameters(shapes) == count


@pytest.fixture(scope="module")
def network():
    """(network, variables, contents f32[2, 5, 6, 8], styles f32[2, 4, 7, 8])."""
    random = np.random.default_rng(0)
    content, style = (
        jnp.float32(random.normal(size=(2, *shape, 8))) + shift
        for shape, shift in (((5, 6), 1), ((4, 7), -2))
    )
    network = linear.LinearTransform(8, 3)
    with backend.native():
        variables = network.init(jax.random.key(0), content, style)
    # Biases start at 0, which would hide that one is left out.
    variables = jax.tree.map(lambda x: x + 0.1 if x.ndim == 1 else x, variables)
    return network, variables, content, style


def test_the_transform_against_pytorch(network):
    torch = pytest.importorskip("torch")
    network, variables, content, style = network
    with backend.native():
        ours = network.apply(variables, content, style)
    layers = variables["params"]

    def picture(x):
        return torch.tensor(np.array(x)).permute(0, 3, 1, 2)

    def conv(x, layer, padding=0):
        kernel, bias = (torch.tensor(np.array(layer[part])) for part in ("kernel", "bias"))
        return torch.nn.functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias, padding=padding)

    def matrix(x, parts):
        for i in range(2):
            x = conv(x, parts[f"Conv_{i}"], 1).relu()
        x = conv(x, parts["Conv_2"], 1).flatten(2)
        second = torch.bmm(x, x.transpose(1, 2)) / x.shape[2]
        kernel, bias = (torch.tensor(np.array(parts["Dense_0"][p])) for p in ("kernel", "bias"))
        return (second.flatten(1) @ kernel + bias).reshape(second.shape)

    c, s = picture(content), picture(style)
    means = [x.mean(dim=(2, 3), keepdim=True) for x in (c, s)]
    c, s = c - means[0], s - means[1]
    product = torch.bmm(matrix(s, layers["of_style"]), matrix(c, layers["of_content"]))
    few = conv(c, layers["compress"])
    changed = torch.bmm(product, few.flatten(2)).reshape(few.shape)
    theirs = conv(changed, layers["unzip"]) + means[1]
    np.testing.assert_allclose(ours, theirs.permute(0, 2, 3, 1), rtol=1e-4, atol=1e-5)


def test_a_mixture_paints_the_mean_of_what_its_styles_do(network):
    network, variables, content, style = network
    transform = linear.learned(network)
    with backend.native():
        kept = transform.style(variables, style)
        each = [jax.tree.map(lambda x, i=i: x[i : i + 1], kept) for i in range(2)]
        both = mixed(each, jnp.array([0.25, 0.75]))
        first, second, found = (transform.apply(variables, x, content[:1]) for x in (*each, both))
    np.testing.assert_allclose(found, 0.25 * first + 0.75 * second, rtol=1e-4, atol=1e-5)
