"""Hypercolumns against PyTorch's interpolation."""

import jax.numpy as jnp
import numpy as np
import pytest

from genjax.style import hypercolumns


@pytest.mark.parametrize("size", [(3, 2), (8, 5), (1, 1), (11, 13)])
def test_layers_are_resized_as_pytorch_does_it(size):
    functional = pytest.importorskip("torch").nn.functional
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    layers = [random.normal(size=shape).astype(np.float32) for shape in ((11, 7, 4), (5, 3, 6))]
    expected = [
        functional.interpolate(
            torch.tensor(x).permute(2, 0, 1)[None], size, mode="bilinear", align_corners=True
        )[0].permute(1, 2, 0)
        / x.shape[-1]
        for x in layers
    ]
    found = hypercolumns.hypercolumns([jnp.asarray(x) for x in layers], *size)
    np.testing.assert_allclose(found, torch.cat(expected, dim=-1), atol=1e-6)


def test_rotations_are_by_right_angles():
    x = jnp.arange(6.0).reshape(2, 3, 1)
    found = [turned[..., 0].tolist() for turned in hypercolumns.rotations(x)]
    assert found == [
        [[0, 1, 2], [3, 4, 5]],
        [[2, 5], [1, 4], [0, 3]],
        [[5, 4, 3], [2, 1, 0]],
        [[3, 0], [4, 1], [5, 2]],
    ]
