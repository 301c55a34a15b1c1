"""Fingerprints: any change of a bit shows, and how an array is held does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.workdir.fingerprint import fingerprints, first_not_finite

ARRAYS = {
    "f32": np.arange(12, dtype=np.float32).reshape(3, 2, 2),
    "bf16": np.arange(6, dtype=jnp.bfloat16),
    "i32": np.array([[1, -1], [0, 2**31 - 1]], np.int32),
    "u8": np.arange(5, dtype=np.uint8),
    "bool": np.array([True, False, True]),
    "scalar": np.float32(2.5),
}


def _hash(bits: int, place: int) -> int:
    """Of one element, by hand in Python's integers."""

    def mix(h):
        h = (h + 0x9E3779B9) % 2**32
        h = (h ^ h >> 16) * 0x85EBCA6B % 2**32
        h = (h ^ h >> 13) * 0xC2B2AE35 % 2**32
        return h ^ h >> 16

    return mix(bits ^ mix(place))


@pytest.mark.parametrize("name", ARRAYS)
def test_known_answers(name):
    x = np.atleast_1d(ARRAYS[name]).ravel()
    bits = x.view({1: np.uint8, 2: np.uint16, 4: np.uint32}[x.itemsize])
    expected = sum(_hash(int(b), place) for place, b in enumerate(bits)) % 2**32
    assert fingerprints({name: ARRAYS[name]}) == {name: expected}
    assert fingerprints({name: jnp.asarray(ARRAYS[name])}) == {name: expected}


def test_every_single_bit_and_every_swap_shows():
    x = np.array([1.0, 0.0, -3.5], np.float32)
    (reference,) = fingerprints([x]).values()
    changed = []
    for element in range(3):
        for bit in range(32):
            y = x.copy()
            y.view(np.uint32)[element] ^= np.uint32(1 << bit)
            changed.append(y)
    changed += [x[[1, 0, 2]], x[[0, 2, 1]], -x, x[:2], np.append(x, np.float32(0))]
    with jax.debug_nans(False):
        assert all(reference not in fingerprints([y]).values() for y in changed)


def test_paths_are_those_of_classes_and_of_plain_dicts_alike():
    import flax.struct

    @flax.struct.dataclass
    class State:
        network: dict
        optimizer: tuple

    plain = {"network": {"w": np.zeros(2)}, "optimizer": [np.ones(3)]}
    plain = jax.tree.map(np.float32, plain)
    state = State(plain["network"], tuple(plain["optimizer"]))
    assert fingerprints(state) == fingerprints(plain)
    assert list(fingerprints(plain)) == ["network/w", "optimizer/0"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_first_array_that_is_not_finite(bad, dtype):
    good = {"a": jnp.arange(6, dtype=dtype).reshape(2, 3), "i": jnp.int32([2**31 - 1]), "z": True}
    with jax.debug_nans(False):
        broken = {**good, "b": {"w": good["a"].at[1, 2].set(bad), "v": good["a"]}}
        assert first_not_finite(good, but="optimizer") is None
        assert first_not_finite(broken, but="optimizer") == "b/w"
        assert first_not_finite({"optimizer": broken, "x": good}, but="optimizer") is None
