"""GroupNorm against PyTorch's, in values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.nn import GroupNorm

torch = pytest.importorskip("torch")


def test_as_in_pytorch():
    random = np.random.default_rng(0)
    x, weights = (random.normal(size=(2, 3, 4, 6)).astype(np.float32) + 5 for _ in range(2))
    scale, bias = random.normal(size=(2, 6)).astype(np.float32)

    def ours(x, scale, bias):
        params = {"params": {"scale": scale, "bias": bias}}
        y = GroupNorm(2).apply(params, x)
        return (y * weights).sum(), y

    slopes, y = jax.jit(jax.grad(ours, (0, 1, 2), has_aux=True))(*map(jnp.array, (x, scale, bias)))
    there = [torch.from_numpy(a.astype(np.float64)).requires_grad_() for a in (x, scale, bias)]
    moved = there[0].permute(0, 3, 1, 2)
    expected = torch.nn.functional.group_norm(moved, 2, *there[1:], eps=1e-6).permute(0, 2, 3, 1)
    np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-5)
    (expected * torch.from_numpy(weights)).sum().backward()
    for slope, tensor in zip(slopes, there, strict=True):
        largest = np.abs(tensor.grad.numpy()).max()
        np.testing.assert_allclose(slope, tensor.grad.numpy(), atol=1e-5 * largest)
