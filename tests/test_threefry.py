"""The generator is that of `jax.random`, bit for bit, and that of its authors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import threefry


def test_the_authors_known_answers():
    """Random123's kat_vectors for threefry2x32 with 20 rounds."""

    def block(key, counter):
        return [
            int(x)
            for x in threefry._block(*(tuple(map(jnp.uint32, each)) for each in (key, counter)))
        ]

    threes = 2 * (0xFFFFFFFF,)
    assert block((0, 0), (0, 0)) == [0x6B200159, 0x99BA4EFE]
    assert block(threes, threes) == [0x1CB996FC, 0xBB002BE7]
    pi = (0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3)
    assert block(*pi) == [0xC4923A9C, 0x483DF7A0]


@pytest.mark.parametrize("draw", ["uniform", "normal"])
def test_bits_are_those_of_jax(draw):
    key = jax.random.key(7, impl=threefry.NAME)
    numbers = jnp.array([0, 1, 5, 2**31 - 1, -1], jnp.int32)
    ours = jax.jit(lambda key: getattr(threefry, draw)(threefry.fold_in(key, numbers), (31, 5)))
    theirs = jax.vmap(lambda i: getattr(jax.random, draw)(jax.random.fold_in(key, i), (31, 5)))
    np.testing.assert_array_equal(ours(key), jax.jit(theirs)(numbers))


def test_no_number_is_one_and_zero_comes():
    """The largest word is the largest float below 1, the least is 0."""
    key = jax.random.key(0, impl=threefry.NAME)
    drawn = np.asarray(threefry.uniform(threefry.fold_in(key, jnp.arange(4)), (2**14,)))
    assert 0 <= drawn.min() < 1e-3 and 1 - 1e-3 < drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 0.01
