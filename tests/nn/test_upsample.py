import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.nn.upsample import bilinear, nearest


def test_by_hand():
    x = jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1)
    np.testing.assert_array_equal(nearest(x)[0, :, :, 0], [[0, 0, 4, 4]] * 2)
    np.testing.assert_array_equal(bilinear(x)[0, :, :, 0], [[0, 1, 3, 4]] * 2)


def test_equal_pytorch_in_value_and_gradient():
    torch = pytest.importorskip("torch")
    numbers = np.random.default_rng(0)
    x, weight = (numbers.normal(size=s).astype(np.float32) for s in ((2, 3, 5, 4), (2, 6, 10, 4)))
    for ours, mode in ((nearest, "nearest"), (bilinear, "bilinear")):
        value, slope = jax.jit(jax.value_and_grad(lambda x, f=ours: jnp.sum(f(x) * weight)))(x)
        y = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
        options = {"align_corners": False} if mode == "bilinear" else {}
        doubled = torch.nn.functional.interpolate(y, scale_factor=2, mode=mode, **options)
        total = (doubled * torch.tensor(weight.transpose(0, 3, 1, 2))).sum()
        total.backward()
        np.testing.assert_allclose(value, total.detach(), rtol=1e-4)
        np.testing.assert_allclose(slope, y.grad.permute(0, 2, 3, 1), rtol=1e-5, atol=1e-5)
