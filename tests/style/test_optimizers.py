"""L-BFGS and Adam on objectives with known minima, and against SciPy on the real one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from scipy.optimize import fmin_l_bfgs_b

from configs import style as style_config
from genjax import images
from genjax.cnn import features
from genjax.style import objective as style_objective
from genjax.style.optimizers import OPTIMIZERS

OPTIONS = ConfigDict(
    {"memory": 10, "learning_rate": 0.05, "b1": 0.9, "b2": 0.999, "clamp": False, "average": 0.0}
)
IMAGE = jnp.zeros((4, 5, 3))


def _run(name, objective, image, steps):
    optimizer = OPTIMIZERS[name](OPTIONS)

    def run():
        start = optimizer.init(objective, image)
        return jax.lax.fori_loop(0, steps, lambda _, at: optimizer.step(objective, at), start)

    return jax.jit(run)()


@pytest.mark.parametrize(("name", "steps"), [("lbfgs", 30), ("adam", 400)])
def test_finds_the_minimum_of_a_badly_scaled_quadratic(name, steps):
    scale = jnp.logspace(0, 2, IMAGE.size).reshape(IMAGE.shape)
    at = _run(name, lambda x: 0.5 * jnp.sum(scale * jnp.square(x - 0.3)), IMAGE, steps)
    np.testing.assert_allclose(at.image, jnp.full_like(IMAGE, 0.3), atol=0.01)


def test_lbfgs_knows_value_and_gradient_where_it_is():
    def objective(x):
        return jnp.sum(jnp.square(x - 1)) + jnp.sum(x**4)

    at = _run("lbfgs", objective, IMAGE, 5)
    value, gradient = jax.value_and_grad(objective)(at.image)
    np.testing.assert_allclose(at.value, value, rtol=1e-5)
    np.testing.assert_allclose(at.gradient, gradient, rtol=1e-3, atol=1e-3)


def test_a_failed_line_search_is_counted_and_harmless():
    """At a minimum no step is better: the picture stays, the history goes, the run goes on."""
    at = _run("lbfgs", lambda x: jnp.sum(jnp.square(x - 0.3)), IMAGE, 20)
    assert at.failures > 0
    np.testing.assert_allclose(at.image, jnp.full_like(IMAGE, 0.3), atol=1e-4)
    assert jnp.isfinite(at.value)


def _root(x):
    """Flatter than a parabola: its searches fail later."""
    return jnp.sum(jnp.abs(x - 0.3) ** 1.5)


@pytest.mark.parametrize("objective", [lambda x: _parabola(x), _root], ids=["parabola", "root"])
def test_two_failed_searches_in_a_row_end_a_picture(objective):
    """Further steps evaluate nothing and change nothing; one failure alone is no end."""
    optimizer = OPTIMIZERS["lbfgs"](OPTIONS)
    step = jax.jit(lambda at: optimizer.step(objective, at))
    at, counts = jax.jit(lambda: optimizer.init(objective, IMAGE))(), []
    while not at.ended and len(counts) < 200:
        before, at = at, step(at)
        failed = at.failures > before.failures
        assert at.failures_in_a_row == (before.failures_in_a_row + 1 if failed else 0)
        counts.append(int(at.evaluations))
    assert at.ended and at.failures_in_a_row == 2
    again = step(at)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), again, at))
    np.testing.assert_allclose(at.image, jnp.full_like(IMAGE, 0.3), atol=1e-3)


def _broken(x):
    """Finite itself, with a gradient that is not: that of the root of 0 is infinite."""
    return _parabola(x) + 0 * jnp.sum(jnp.sqrt(0 * x))


def _parabola(x):
    return jnp.sum(jnp.square(x - 0.3))


@pytest.mark.parametrize(
    ("broken", "finite"),
    [
        (lambda x: _parabola(x) * jnp.nan, (False, False)),
        (lambda x: _parabola(x) + jnp.inf, (False, True)),
        (_broken, (True, False)),
    ],
    ids=["nan", "infinite", "gradient"],
)
def test_lbfgs_does_not_take_a_broken_objective_for_a_failed_search(broken, finite):
    """No point on the way is better, and neither value nor gradient says that all is well."""
    optimizer = OPTIMIZERS["lbfgs"](OPTIONS)
    at = jax.jit(lambda: optimizer.init(_parabola, IMAGE))()
    with jax.debug_nans(False):
        at = jax.jit(lambda at: optimizer.step(broken, at))(at)
    assert (jnp.isfinite(at.value), jnp.isfinite(at.gradient).all()) == finite
    np.testing.assert_array_equal(at.image, IMAGE)


def test_lbfgs_survives_a_direction_out_of_the_domain():
    """The objective is finite so near the picture only that no step along the line is short
    enough."""

    def objective(x):
        return jnp.where(jnp.abs(x).max() < 1e-9, _parabola(x), jnp.nan)

    with jax.debug_nans(False):
        at = _run("lbfgs", objective, IMAGE, 1)
    assert at.failures == 1
    np.testing.assert_allclose(at.value, _parabola(IMAGE), rtol=1e-6)
    np.testing.assert_allclose(at.gradient, jnp.full_like(IMAGE, -0.6), rtol=1e-6)


def test_lbfgs_never_goes_uphill():
    optimizer = OPTIMIZERS["lbfgs"](OPTIONS)

    def rosenbrock(x):
        flat = x.ravel()
        return jnp.sum(100 * jnp.square(flat[1:] - flat[:-1] ** 2) + jnp.square(1 - flat[:-1]))

    step = jax.jit(lambda at: optimizer.step(rosenbrock, at))
    at, values = optimizer.init(rosenbrock, IMAGE), []
    for _ in range(40):
        at = step(at)
        values.append(float(at.value))
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.9 * values[0]


@pytest.mark.slow
def test_lbfgs_reaches_what_scipy_reaches():
    """On the style objective itself, with as many evaluations: within 5 %, or lower."""
    config = style_config.get_config()
    net = features.load("vgg16", ())
    objective = style_objective.make(config, net)
    content = jnp.asarray(images.fit(images.load("astronaut"), 48), jnp.float32)[None] / 255
    style = jnp.asarray(images.fit(images.load("coffee"), 48), jnp.float32)[None] / 255
    weights = jax.tree.map(jnp.asarray, net.weights)
    content_target = objective.content_target(weights, content)
    style_target = objective.style_target(weights, [style])

    def total(weights):
        return lambda image: objective.pieces(weights, image[None], content_target, style_target)[
            "total"
        ][0]

    value_and_grad = jax.jit(lambda weights, x: jax.value_and_grad(total(weights))(x))
    optimizer = OPTIMIZERS["lbfgs"](config.optimizer)
    step = jax.jit(lambda weights, at: optimizer.step(total(weights), at))
    at = optimizer.init(total(weights), content[0])
    while at.evaluations < 60:
        at = step(weights, at)
    seen = []

    def for_scipy(flat):
        value, gradient = value_and_grad(weights, jnp.asarray(flat, jnp.float32).reshape(48, 48, 3))
        seen.append(float(value))
        return float(value), np.asarray(gradient, np.float64).ravel()

    budget = int(at.evaluations)
    fmin_l_bfgs_b(for_scipy, np.float64(content[0]).ravel(), m=10, maxfun=budget, factr=0, pgtol=0)
    assert float(at.value) <= 1.05 * min(seen[:budget])


def test_adam_keeps_pixels_in_range_and_an_average():
    """Steps of 0.05 towards 0 and beyond, and the mean of all pictures, the first one included."""
    options = OPTIONS.copy_and_resolve_references()
    options.update(clamp=True, average=0.9)
    optimizer, pictures = OPTIMIZERS["adam"](options), []
    at = optimizer.init(jnp.sum, jnp.full((1, 1, 3), 0.12))
    step = jax.jit(lambda at: optimizer.step(jnp.sum, at))
    for _ in range(5):
        pictures.append(float(at.image[0, 0, 0]))
        at = step(at)
    pictures.append(float(at.image[0, 0, 0]))
    np.testing.assert_allclose(pictures, [0.12, 0.07, 0.02, 0, 0, 0], atol=1e-5)
    expected = np.average(pictures, weights=0.9 ** np.arange(5, -1, -1))
    np.testing.assert_allclose(at.shown, np.full((1, 1, 3), expected), rtol=1e-4)
    assert OPTIMIZERS["adam"](OPTIONS).init(jnp.sum, IMAGE).average is None
