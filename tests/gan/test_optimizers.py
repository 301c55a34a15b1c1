"""Optimisers of constant and of given gradients, against PyTorch's rules written in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.errors import UserError
from genjax.gan import optimizers, schedules
from tests.tiny import tiny

GRADS = np.random.default_rng(0).normal(size=6)


def _run(config, **options):
    """The parameter, from 0, after each of the gradients."""
    optimizer = optimizers.make(config, schedules.read(config), **options)

    @jax.jit
    def go(grads):
        def update(carry, grad):
            x, state = carry
            change, state = optimizer.update(grad, state, x)
            return (x + change, state), x + change

        return jax.lax.scan(update, (jnp.zeros(()), optimizer.init(jnp.zeros(()))), grads)[1]

    return np.asarray(go(jnp.float32(GRADS)))


def _adam(rate, b1, b2):
    """Of functions of the update's number, from 0; a bias is corrected by the decay of today."""
    x, m, v, found = 0.0, 0.0, 0.0, []
    for t, g in enumerate(GRADS):
        m, v = b1(t) * m + (1 - b1(t)) * g, b2(t) * v + (1 - b2(t)) * g**2
        m_hat, v_hat = m / (1 - b1(t) ** (t + 1)), v / (1 - b2(t) ** (t + 1))
        x -= rate(t) * m_hat / (np.sqrt(v_hat) + 1e-8)
        found.append(x)
    return found


def test_each_network_has_a_rate_of_its_own():
    config = tiny("dcgan")
    expected = _adam(lambda t: 4 * 2e-4, lambda t: 0.5, lambda t: 0.999)
    np.testing.assert_allclose(_run(config, factor=4.0), expected, rtol=1e-4)


def test_rate_and_moment_follow_their_schedules():
    """With two updates a step of 8 images, each counts for 4."""
    final = "optimizer.learning_rate=1e-4,optimizer.b2=0.5"
    options = {"schedule.name": "linear", "schedule.images": 16, "schedule.final": final}
    config = tiny("dcgan", **options)

    def passed(t):
        return min(4 * t / 16, 1)

    rate = lambda t: 2e-4 - 1e-4 * passed(t)  # noqa: E731
    expected = _adam(rate, lambda t: 0.5, lambda t: 0.999 - 0.499 * passed(t))
    np.testing.assert_allclose(_run(config, updates=2), expected, rtol=1e-4)


def test_lazy_regularisation_rescales():
    """StyleGAN2's 16: 0.0025 becomes 0.00235294, and 0.99 becomes 0.9905855."""
    config = tiny(
        "dcgan", **{"optimizer.learning_rate": 0.0025, "optimizer.b1": 0.0, "optimizer.b2": 0.99}
    )
    expected = _adam(lambda t: 0.00235294, lambda t: 0.0, lambda t: 0.9905855)
    np.testing.assert_allclose(_run(config, lazy=16), expected, rtol=1e-4)


def test_rmsprop_is_pytorchs():
    torch = pytest.importorskip("torch")
    parameter = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.RMSprop([parameter], lr=1e-3, alpha=0.99)
    expected = []
    for grad in GRADS:
        parameter.grad = torch.tensor(grad, dtype=torch.float32)
        optimizer.step()
        expected.append(parameter.item())
    config = tiny("wgan", **{"optimizer.learning_rate": 1e-3})
    np.testing.assert_allclose(_run(config), expected, rtol=1e-4)


def test_rmsprop_has_no_first_moment():
    with pytest.raises(UserError, match=r"'rmsprop' needs optimizer\.b1=0\.0"):
        _run(tiny("dcgan", **{"optimizer.name": "rmsprop"}))
    with pytest.raises(UserError, match="'rmsprob' is unknown; did you mean 'rmsprop'"):
        _run(tiny("dcgan", **{"optimizer.name": "rmsprob"}))
