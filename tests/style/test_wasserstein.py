"""The matrix root and its gradient against SciPy, the distance against one written in PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg

from genjax.style import wasserstein

RANDOM = np.random.default_rng(0)


def _covariances(n, c):
    x = RANDOM.normal(size=(n, 3 * c, c))
    return (x.swapaxes(1, 2) @ x / (3 * c)).astype(np.float32)


def test_the_root_and_the_gradient_of_its_trace_are_scipys():
    a = jnp.asarray(_covariances(2, 6))
    back = jax.jit(jax.grad(lambda a: wasserstein.trace_of_root(a) @ jnp.array([1.0, -3.0])))(a)
    for one, found, gradient, factor in zip(a, wasserstein.root(a), back, (1, -3), strict=True):
        exact = linalg.sqrtm(np.float64(one)).real
        np.testing.assert_allclose(found, exact, atol=1e-4 * abs(exact).max())
        # dL/dA solves S X + X S = dL/dS, of the symmetric root S.
        solution = linalg.solve_sylvester(exact, exact, factor * np.eye(6))
        np.testing.assert_allclose(gradient, solution, atol=1e-4 * abs(solution).max())


def test_equal_eigenvalues_have_gradients():
    """Where those by eigenvalues are infinite: of the trace of the root of 4 I, 1 / (2 * 2) I."""
    back = jax.jit(jax.grad(lambda a: wasserstein.trace_of_root(a)[0]))(4 * jnp.eye(5)[None])
    np.testing.assert_allclose(back[0], np.eye(5) / 4, atol=1e-6)


def test_the_distance_of_two_normal_distributions_by_hand():
    """On the axes it is (m - m*)² + (s - s*)²: here a mean over two channels."""
    spread = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    features, style = spread * [3.0, 1.0] + [10.0, 0.0], spread * [1.0, 2.0] + [8.0, 0.0]
    found, of_style = (
        wasserstein.moments(jnp.asarray(x, jnp.float32).reshape(1, 2, 2, 2))
        for x in (features, style)
    )
    target = wasserstein.target([of_style], np.ones(1))
    expected = (2**2 + 0) / 2 + (2**2 + 1**2) / 2
    np.testing.assert_allclose(wasserstein.distance(found, target), [expected], rtol=1e-3)
    np.testing.assert_allclose(wasserstein.distance(of_style, target), [0], atol=1e-5)


def test_loss_and_gradient_are_those_of_pytorch():
    """Two styles, mixed three to one; roots in float64 by eigenvalues."""
    torch = pytest.importorskip("torch")
    x, *styles = (RANDOM.normal(1.0, 1.0, size=(1, 7, 9, 8)).astype(np.float32) for _ in range(3))

    def ours(x, styles):
        target = wasserstein.target([wasserstein.moments(s) for s in styles], [0.75, 0.25])
        return wasserstein.distance(wasserstein.moments(x), target)[0]

    found, gradient = jax.jit(jax.value_and_grad(ours))(jnp.asarray(x), styles)

    def root(a):
        values, vectors = torch.linalg.eigh(a)
        return (vectors * values.clamp(min=0).sqrt()) @ vectors.T

    def moments(x):
        flat = x.reshape(-1, 8)
        return flat.mean(0), flat.T @ flat / len(flat)

    def covariance(mean, second):
        return second - mean[:, None] * mean[None] + 1e-4 * torch.eye(8, dtype=torch.float64)

    of_styles = [moments(torch.tensor(s, dtype=torch.float64)) for s in styles]
    mean, second = (0.75 * a + 0.25 * b for a, b in zip(*of_styles, strict=True))
    half = root(covariance(mean, second))
    picture = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    own = moments(picture)
    between = root(half @ covariance(*own) @ half)
    spread = covariance(mean, second) + covariance(*own) - 2 * between
    loss = ((own[0] - mean) ** 2).mean() + torch.diag(spread).mean()
    loss.backward()
    np.testing.assert_allclose(found, loss.item(), rtol=1e-4)
    expected = picture.grad.numpy()
    np.testing.assert_allclose(gradient, expected, atol=1e-4 * abs(expected).max())


def test_a_matrix_that_is_nearly_singular():
    flat = jnp.ones((1, 4, 4)) + 1e-4 * jnp.eye(4)[None]
    found, back = jax.jit(jax.value_and_grad(lambda a: wasserstein.trace_of_root(a)[0]))(flat)
    np.testing.assert_allclose(found, 2, rtol=0.02)  # of a matrix of ones, whose eigenvalue is 4
    assert jnp.isfinite(back).all()
