from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.cnn import muon


def _polynomial(x, times):
    for _ in range(times):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    return x


@pytest.mark.parametrize("shape", [(3, 8), (8, 3)])
def test_orthogonalized_matrix(shape):
    """The singular vectors stay, and each singular value is what the polynomial makes of it."""
    matrix = np.random.default_rng(0).normal(size=shape)
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    expected = u * _polynomial(s / np.linalg.norm(s), 3) @ vt
    found = jax.jit(muon.orthogonalized)(jnp.asarray(matrix, jnp.float32))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    singular = np.linalg.svd(found)[1]
    assert singular.min() > 0.68 and singular.max() < 1.21


def test_two_steps_of_muon_by_hand():
    """One output and one input at one tap: orthogonal is its sign, as the polynomial has it."""
    one = _polynomial(1.0, 3)
    optimizer = muon.muon(lambda count: 0.1 / (count + 1), momentum=0.5)
    kernel, params = 4.0, jnp.full((1, 1, 1, 1), 4.0)
    state = optimizer.init(params)
    # Momenta 2 and 2 / 2 - 5 = -4; Nesterov's directions 2 + 2 / 2 = 3 and -5 - 4 / 2 = -7.
    for gradient, sign, rate in ((2.0, 1, 0.1), (-5.0, -1, 0.05)):
        updates, state = optimizer.update(jnp.full((1, 1, 1, 1), gradient), state, params)
        params = optax.apply_updates(params, updates)
        kernel = np.sign(kernel) - rate * sign * one
        np.testing.assert_allclose(params.item(), kernel, rtol=1e-5)


def test_a_kernel_has_a_row_for_each_output():
    """Its norm is made √Cout before the step, and the step has orthogonal rows."""
    random = np.random.default_rng(0)
    kernel, gradient = (jnp.asarray(random.normal(size=(3, 3, 4, 2)), jnp.float32) for _ in "kg")
    optimizer = muon.muon(lambda count: 1.0, momentum=0.0)
    updates, _ = optimizer.update(gradient, optimizer.init(kernel), kernel)
    start = kernel * np.sqrt(2) / jnp.linalg.norm(kernel)
    step = (start - (kernel + updates)).reshape(-1, 2)
    rows = muon.orthogonalized(gradient.reshape(-1, 2).T)
    np.testing.assert_allclose(step, rows.T, atol=1e-5)


def test_each_parameter_has_its_rate_and_its_end():
    """Means of the gradients of 10 examples, all 1, at rates of one example; no momentum."""
    options = SimpleNamespace(
        learning_rate=0.2,
        momentum=0.0,
        bias_rate=0.01,
        dense_rate=0.03,
        sgd_momentum=0.0,
        weight_decay=1e-3,
        decay_steps=8,
    )
    params = {
        "Conv_0": {"kernel": jnp.ones((1, 1, 1, 1))},
        "Dense_0": {"kernel": jnp.full((1, 1), 2.0)},
        "BatchNorm_0": {"bias": jnp.full(1, 4.0)},
        "whitening_bias": jnp.full(1, 4.0),
    }
    optimizer = muon.optimizer(options, batch_size=10)
    state, gradients = optimizer.init(params), jax.tree.map(jnp.ones_like, params)
    for step in range(9):
        updates, state = optimizer.update(gradients, state, params)
        moved = {name: jax.tree.leaves(part)[0].item() for name, part in updates.items()}
        left, left_first = max(0, 1 - step / 8), max(0, 1 - step / 3)
        expected = {
            "Conv_0": -0.2 * left * _polynomial(1.0, 3),
            "Dense_0": -left * 10 * (0.03 + 1e-3 * 2),
            "BatchNorm_0": -left * 10 * (0.01 + 1e-3 * 4),
            "whitening_bias": -left_first * 10 * (0.01 + 1e-3 * 4),
        }
        assert moved == pytest.approx(expected, rel=1e-4, abs=1e-7)
