import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.nn import (
    BatchNorm,
    ConditionalBatchNorm,
    Conv,
    ConvTranspose,
    Embed,
    SpectralNorm,
    average_pool,
    max_pool,
    sums,
    to_even,
)


def _normal(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def test_conv_equals_linen():
    x = _normal(2, 9, 8, 3)
    ours, theirs = Conv(5, 4, stride=2, padding=1), nn.Conv(5, (4, 4), 2, padding=1)
    variables = ours.init(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(
        jnp.shape, theirs.init(jax.random.key(0), x)
    )
    np.testing.assert_allclose(
        ours.apply(variables, x), theirs.apply(variables, x), rtol=1e-4, atol=1e-5
    )


def test_conv_transpose_doubles_the_size():
    x = _normal(2, 4, 5, 3)
    y, variables = ConvTranspose(6, 4, stride=2, padding=1).init_with_output(jax.random.key(0), x)
    assert y.shape == (2, 8, 10, 6)
    assert variables["params"]["kernel"].shape == (4, 4, 3, 6)


def test_compute_type_leaves_parameters_float32():
    x = _normal(2, 4, 4, 3)
    y, variables = Conv(6, 3, padding=1, dtype=jnp.bfloat16).init_with_output(jax.random.key(0), x)
    assert y.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))


def test_batch_norm_by_hand():
    x = jnp.array([[0.0], [2.0]])  # mean 1, variance 1
    norm = BatchNorm(momentum=0.9, epsilon=0.0)
    variables = norm.init(jax.random.key(0), x, True)
    y, updated = norm.apply(variables, x, True, mutable=["batch_stats"])
    np.testing.assert_allclose(y, [[-1.0], [1.0]], rtol=1e-6)
    stats = updated["batch_stats"]
    np.testing.assert_allclose(stats["mean"], [0.1], rtol=1e-6)  # 0.9 * 0 + 0.1 * 1
    np.testing.assert_allclose(stats["var"], [1.0], rtol=1e-6)  # 0.9 * 1 + 0.1 * 1


def test_batch_norm_without_a_scale():
    """As with a scale of ones, and there is none to be trained."""
    x = _normal(4, 2, 2, 3)
    outputs = {}
    for use_scale in (True, False):
        norm = BatchNorm(use_scale=use_scale)
        outputs[use_scale], variables = norm.init_with_output(jax.random.key(0), x, True)
        assert ("scale" in variables["params"]) == use_scale
    np.testing.assert_array_equal(outputs[True], outputs[False])


def test_batch_norm_uses_running_averages_when_not_training():
    x = jnp.array([[0.0], [2.0]])
    norm = BatchNorm(epsilon=0.0)
    variables = norm.init(jax.random.key(0), x, True)  # mean 0, variance 1
    np.testing.assert_allclose(norm.apply(variables, x, False), x, rtol=1e-6)


@pytest.mark.parametrize("spelled_out", [True, False])
@pytest.mark.parametrize("shape", [(6, 3), (4, 5, 6, 3)])
def test_batch_norm_equals_linen_to_the_second_derivative(shape, spelled_out, monkeypatch):
    monkeypatch.setattr(sums, "spelled_out", lambda: spelled_out)
    x, weight = 2 * _normal(*shape) + 1, _normal(*shape)[::-1]
    ours, theirs = BatchNorm(), nn.BatchNorm(use_running_average=False, momentum=0.9)
    params = {"scale": jnp.array([0.5, 1.0, 2.0]), "bias": jnp.array([-1.0, 0.0, 3.0])}
    stats = {"mean": jnp.ones(3), "var": 2 * jnp.ones(3)}

    def everything(apply):
        def output(params, x):
            y, updated = apply({"params": params, "batch_stats": stats}, x)
            return jnp.sum(jnp.tanh(y) * weight), (y, updated)

        slopes = jax.grad(output, (0, 1), has_aux=True)

        def penalty(params, x):
            return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(slopes(params, x)[0]))

        return slopes(params, x), jax.grad(penalty, (0, 1))(params, x)

    def compiled(apply):
        return jax.jit(lambda: everything(apply))()

    found = compiled(lambda v, x: ours.apply(v, x, True, mutable=["batch_stats"]))
    expected = compiled(lambda v, x: theirs.apply(v, x, mutable=["batch_stats"]))
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * float(jnp.abs(b).max()))


@pytest.mark.parametrize("axis_name", [None, "data"])
@pytest.mark.parametrize("ratio", [100, 1000])
def test_batch_norm_of_a_mean_far_above_the_deviation(ratio, axis_name):
    """Output and gradient against float64. In one pass, at 1,000, they are off by a half."""
    x = jnp.float32(np.float64(_normal(8, 4, 4, 2)) + ratio)
    weight = _normal(8, 4, 4, 2)[::-1]
    variables = {
        "params": {"scale": jnp.ones(2), "bias": jnp.zeros(2)},
        "batch_stats": {"mean": jnp.zeros(2), "var": jnp.ones(2)},
    }
    norm = BatchNorm(axis_name=axis_name)

    def ours(x):
        return norm.apply(variables, x, True, mutable=["batch_stats"])[0]

    def slopes(x, weight):
        return jax.grad(lambda x: jnp.sum(ours(x) * weight))(x)

    def both(x, weight):
        return ours(x), slopes(x, weight)

    if axis_name:  # two devices with four pictures each
        x, weight = x.reshape(2, 4, 4, 4, 2), weight.reshape(2, 4, 4, 4, 2)
        both = jax.vmap(both, axis_name="data")
    y, slope = (np.reshape(a, (-1, 2)) for a in both(x, weight))
    x, weight = (np.float64(a).reshape(-1, 2) for a in (x, weight))
    scale = 1 / np.sqrt(x.var(0) + 1e-5)
    expected = (x - x.mean(0)) * scale
    np.testing.assert_allclose(y, expected, atol=5e-4)
    pulled = weight - weight.mean(0) - expected * (weight * expected).mean(0)
    np.testing.assert_allclose(slope, scale * pulled, atol=2e-3)


def test_batch_norm_over_a_mapped_axis_is_that_of_the_whole_batch():
    x = _normal(8, 3)
    variables = BatchNorm().init(jax.random.key(0), x, True)
    whole = BatchNorm().apply(variables, x, True, mutable=["batch_stats"])[0]
    parts = jax.vmap(
        lambda part: BatchNorm(axis_name="data").apply(
            variables, part, True, mutable=["batch_stats"]
        )[0],
        axis_name="data",
    )(x.reshape(4, 2, 3))
    np.testing.assert_allclose(parts.reshape(8, 3), whole, rtol=1e-5, atol=1e-6)


def test_embed_gives_rows():
    label = jnp.array([2, 0, 2])
    kernel = _normal(3, 4)
    np.testing.assert_array_equal(
        Embed(3, 4).apply({"params": {"kernel": kernel}}, label), kernel[label]
    )
    slope = jax.grad(lambda k: Embed(3, 4).apply({"params": {"kernel": k}}, label).sum())(kernel)
    np.testing.assert_array_equal(slope, [[1] * 4, [0] * 4, [2] * 4])
    module = Embed(3, 4, kernel_norm=SpectralNorm)
    variables = module.init(jax.random.key(0), label)
    for _ in range(20):
        rows, updated = module.apply(variables, label, mutable=["spectral"])
        variables |= updated
    kernel = variables["params"]["kernel"]
    expected = kernel[label] / np.linalg.svd(kernel)[1][0]
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-6)


def test_conditional_batch_norm_by_hand():
    """Of mean 1 and variance 1; 1 + W is 1.5 of class 0 and 3 of class 1, biases are 0 and 10."""
    x = jnp.array([0.0, 2.0]).reshape(2, 1, 1, 1)
    params = {"scale": {"kernel": [[0.5], [2.0]]}, "bias": {"kernel": [[0.0], [10.0]]}}
    params = jax.tree.map(jnp.float32, params, is_leaf=lambda x: isinstance(x, list))
    norm = ConditionalBatchNorm(epsilon=0.0)
    condition = jax.nn.one_hot(jnp.array([0, 1]), 2)
    variables = norm.init(jax.random.key(0), x, condition, True)
    assert jax.tree.map(jnp.shape, variables["params"]) == jax.tree.map(jnp.shape, params)
    # It begins as BatchNorm does.
    y, updated = norm.apply(variables, x, condition, True, mutable=["batch_stats"])
    np.testing.assert_allclose(y.ravel(), [-1, 1], rtol=1e-6)
    np.testing.assert_allclose(updated["batch_stats"]["mean"], [0.1], rtol=1e-6)
    variables |= {"params": params}
    y, _ = norm.apply(variables, x, condition, True, mutable=["batch_stats"])
    np.testing.assert_allclose(y.ravel(), [-1.5, 13], rtol=1e-6)
    # By its running statistics, mean 0 and variance 1; half of each class: scale 2.25, bias 5.
    y = norm.apply(variables, x, jnp.full((2, 2), 0.5), False)
    np.testing.assert_allclose(y.ravel(), [5, 9.5], rtol=1e-6)


def test_conditional_batch_norm_of_one_class_is_batch_norm():
    """In value and in all gradients; in value over a mapped axis of two devices too."""
    x, weight = 2 * _normal(4, 3, 2, 3) + 1, _normal(4, 3, 2, 3)[::-1]
    scale, bias = jnp.array([0.5, 1.0, 2.0]), jnp.array([-1.0, 0.0, 3.0])
    stats = {"mean": jnp.zeros(3), "var": jnp.ones(3)}
    condition = jnp.ones((4, 1))

    def plainly(x, scale, bias):
        variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": stats}
        return BatchNorm().apply(variables, x, True, mutable=["batch_stats"])[0]

    def shard(x, condition, scale, bias, axis_name=None):
        params = {"scale": {"kernel": scale[None] - 1}, "bias": {"kernel": bias[None]}}
        norm = ConditionalBatchNorm(axis_name=axis_name)
        variables = {"params": params, "batch_stats": stats}
        return norm.apply(variables, x, condition, True, mutable=["batch_stats"])[0]

    def over_devices(x, scale, bias):
        parts = jax.vmap(lambda x, c: shard(x, c, scale, bias, "data"), axis_name="data")(
            x.reshape(2, 2, 3, 2, 3), condition.reshape(2, 2, 1)
        )
        return parts.reshape(x.shape)

    def slopes(apply):
        return jax.jit(
            jax.value_and_grad(lambda *a: jnp.sum(jnp.tanh(apply(*a)) * weight), (0, 1, 2))
        )(x, scale, bias)

    found = slopes(lambda x, s, b: shard(x, condition, s, b))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(slopes(plainly)), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * float(jnp.abs(b).max()))
    whole = plainly(x, scale, bias)
    np.testing.assert_allclose(jax.jit(over_devices)(x, scale, bias), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 5, 7, 2)])
def test_max_pool_is_native_in_value_and_gradient(shape):
    x = jnp.maximum(_normal(*shape), 0)  # ties, as after a ReLU
    weight = _normal(shape[0], shape[1] // 2, shape[2] // 2, shape[3])

    def total(pool):
        return lambda x: jnp.sum(pool(x) * weight)

    def native(x):
        return nn.max_pool(x, (2, 2), (2, 2))

    np.testing.assert_array_equal(max_pool(x), native(x))
    np.testing.assert_array_equal(jax.grad(total(max_pool))(x), jax.grad(total(native))(x))


def test_max_pool_passes_second_derivatives_on():
    """The slope at each maximum, 2 y w, squared and summed: its own slope there is 8 y w²."""
    x, weight = _normal(1, 4, 4, 2), _normal(1, 2, 2, 2)

    def slopes(x):
        return jax.grad(lambda x: jnp.sum(max_pool(x) ** 2 * weight))(x)

    found = jax.grad(lambda x: jnp.sum(slopes(x) ** 2))(x)
    (expected,) = jax.vjp(max_pool, x)[1](8 * max_pool(x) * weight**2)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_average_pool_by_hand():
    x = jnp.arange(8.0).reshape(1, 2, 4, 1)
    np.testing.assert_array_equal(average_pool(x).ravel(), [2.5, 4.5])


POOLS = (max_pool, average_pool)


def test_to_even_makes_pools_cover_everything():
    """Alone in its window, a pixel is its maximum and its mean; even sides stay as they are."""
    x = jnp.arange(15.0).reshape(1, 3, 5, 1)
    np.testing.assert_array_equal(max_pool(to_even(x))[0, :, :, 0], [[6, 8, 9], [11, 13, 14]])
    means = [[3, 5, 6.5], [10.5, 12.5, 14]]
    np.testing.assert_array_equal(average_pool(to_even(x))[0, :, :, 0], means)
    largest, mean = (jax.grad(lambda x, p=p: p(to_even(x)).sum())(x)[0, :, :, 0] for p in POOLS)
    np.testing.assert_array_equal(largest, [[0, 0, 0, 0, 0], [0, 1, 0, 1, 1], [0, 1, 0, 1, 1]])
    quarter, half = [0.25] * 4 + [0.5], [0.5] * 4 + [1]
    np.testing.assert_array_equal(mean, [quarter, quarter, half])
    even = x[:, :2, :4]
    assert to_even(even) is even
