import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.errors import UserError
from genjax.gan.minibatch import with_deviation


def test_groups_are_every_so_manieth_example():
    """Of 4 examples in groups of 2: 0 and 2, 1 and 3."""
    x = np.random.default_rng(0).normal(size=(4, 2, 3, 5)).astype(np.float32)
    found = np.asarray(jax.jit(lambda x: with_deviation(x, 2))(x))
    expected = [np.mean(np.std(x[i::2], axis=0)) for i in (0, 1)]
    np.testing.assert_array_equal(found[..., :5], x)
    for i, deviation in enumerate(expected * 2):
        np.testing.assert_allclose(found[i, :, :, 5], deviation, rtol=1e-5)


def test_a_small_batch_is_one_group():
    x = np.array([0, 6], np.float32).reshape(2, 1, 1, 1)
    deviate = jax.jit(lambda x: with_deviation(x, 32)[:, 0, 0, 1])
    np.testing.assert_allclose(deviate(x), [3, 3])
    np.testing.assert_allclose(deviate(x[:1]), 1e-4)  # the root of 1e-8


def test_devices_share_groups():
    """Each of 3 devices holds 2 of 6 examples; groups are those of all 6, and so are gradients."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 1, 2, 3)), jnp.float32)
    weight = jnp.arange(6.0)

    def shared(x):
        shards = x.reshape(3, 2, *x.shape[1:])
        y = jax.vmap(lambda x: with_deviation(x, 2, "devices"), axis_name="devices")(shards)
        return y.reshape(6, 1, 2, 4)

    @jax.jit
    def both(x):
        def weighted(f):
            return jax.grad(lambda x: (f(x)[:, 0, 0, 3] * weight).sum())(x)

        whole = lambda x: with_deviation(x, 2)  # noqa: E731
        return shared(x), whole(x), weighted(shared), weighted(whole)

    ours, plain, our_slopes, plain_slopes = both(x)
    np.testing.assert_allclose(ours, plain, rtol=1e-5)
    np.testing.assert_allclose(our_slopes, plain_slopes, rtol=1e-4, atol=1e-6)


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(UserError, match=r"a batch of 6 .* groups of model\.group=4"):
        with_deviation(jnp.zeros((6, 1, 1, 1)), 4)
