import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.cnn import airbench
from genjax.cnn.airbench import Airbench, identity_first, layer_names
from genjax.errors import UserError
from genjax.nn import backend


def test_shapes_and_taps():
    net = Airbench(classes=7, widths=(4, 6))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 10, 12, 3)), jnp.float32)
    with backend.native():
        variables = jax.jit(lambda: net.init(jax.random.key(0), x, train=True))()
        assert variables["whitening"]["kernel"].shape == (2, 2, 3, 24)
        kernel = jnp.asarray(np.random.default_rng(1).normal(size=(2, 2, 3, 24)), jnp.float32)
        mean = jnp.array([0.5, 0.0, -0.5])
        variables |= {"whitening": {"kernel": kernel, "mean": mean}}
        names = layer_names(2)
        taps = jax.jit(lambda: net.apply(variables, x, train=False, taps=names))()
        logits = jax.jit(lambda: net.apply(variables, x, train=False))()
        pictures = jax.jit(lambda: net.apply(variables, x, train=False, taps=names[:-2]))()
    assert {name: tap.shape for name, tap in taps.items()} == {
        "whitening": (2, 9, 11, 24),
        "gelu1_1": (2, 4, 5, 4),
        "gelu1_2": (2, 4, 5, 4),
        "gelu2_1": (2, 2, 2, 6),
        "gelu2_2": (2, 2, 2, 6),
        "pool": (2, 6),
        "logits": (2, 7),
    }
    np.testing.assert_allclose(taps["logits"], logits, rtol=1e-5, atol=1e-6)
    # Where only pictures are asked for, 9 x 11 px and 5 x 6 px are halved without a loss.
    assert pictures["gelu1_2"].shape == (2, 5, 6, 4) and pictures["gelu2_2"].shape == (2, 3, 3, 6)
    # The first layer's pixel at the top left, and what the last layer makes of the pictures.
    patch = np.tensordot(x[:, :2, :2] - mean[None, None, None], kernel, axes=3)
    np.testing.assert_allclose(taps["whitening"][:, 0, 0], jax.nn.gelu(patch), atol=1e-5)
    np.testing.assert_array_equal(taps["pool"], taps["gelu2_2"].max(axis=(1, 2)))
    expected = taps["pool"] @ variables["params"]["Dense_0"]["kernel"] / np.sqrt(6)
    np.testing.assert_allclose(taps["logits"], expected, rtol=1e-5, atol=1e-6)


def test_a_second_convolution_adds_to_the_first():
    """With kernels of zero, a group's first and second output are the same."""
    net = Airbench(classes=2, widths=(3,))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 5, 5, 1)), jnp.float32)
    with backend.native():
        variables = jax.jit(lambda: net.init(jax.random.key(0), x, train=True))()
        variables = jax.tree.map(lambda v: v, variables)
        params = variables["params"]
        params["Conv_1"]["kernel"] = jnp.zeros((3, 3, 3, 3))
        taps = ("gelu1_1", "gelu1_2")
        found = jax.jit(lambda: net.apply(variables, x, train=False, taps=taps))()
    np.testing.assert_array_equal(found["gelu1_1"], found["gelu1_2"])


def test_convolutions_begin_as_identities():
    x = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype(np.float32)
    kernel = identity_first(jax.random.key(0), (3, 3, 2, 5))
    same = ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=same)
    np.testing.assert_allclose(y[..., :2], x, atol=1e-6)
    assert 0.9 / np.sqrt(18) < np.abs(kernel[..., 2:]).max() <= 1 / np.sqrt(18)


def test_no_group_is_refused():
    with pytest.raises(UserError, match=r"model\.widths is empty"):
        airbench.check_side(0, 32)
