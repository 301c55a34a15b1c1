import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data import order
from genjax.data.augment import augment, mirrored_in_turn
from genjax.errors import UserError

KEY = jax.random.key(0)


def batch(n=8, height=6, width=5):
    image = np.random.default_rng(0).integers(1, 256, (n, height, width, 3), np.uint8)
    return {"image": jnp.asarray(image), "label": jnp.arange(n)}


def test_nothing_asked_nothing_done():
    assert (augment(batch(), KEY, False, 0)["image"] == batch()["image"]).all()


def test_each_image_is_itself_or_its_mirror_image():
    before = batch(64)["image"]
    after = augment(batch(64), KEY, flip=True, shift=0)["image"]
    same = (after == before).all((1, 2, 3))
    mirrored = (after == before[:, :, ::-1]).all((1, 2, 3))
    assert after.dtype == jnp.uint8
    assert (same ^ mirrored).all()
    assert 16 < same.sum() < 48


def test_each_image_is_moved_and_filled_with_zeros():
    n, shift = 200, 2
    before = np.asarray(batch(n)["image"])
    out = augment(batch(n), KEY, flip=False, shift=shift)
    after, seen = np.asarray(out["image"]), set()
    assert (out["label"] == jnp.arange(n)).all()
    padded = np.pad(before, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
    for i in range(n):
        found = [
            (top, left)
            for top in range(2 * shift + 1)
            for left in range(2 * shift + 1)
            if (padded[i, top : top + 6, left : left + 5] == after[i]).all()
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) == (2 * shift + 1) ** 2


def test_the_result_does_not_depend_on_the_number_of_devices(devices=4):
    whole = jax.jit(lambda b: augment(b, KEY, True, 2))(batch(8))["image"]
    shares = jax.tree.map(lambda x: x.reshape(devices, -1, *x.shape[1:]), batch(8))
    mapped = jax.vmap(lambda b: augment(b, KEY, True, 2, "data"), axis_name="data")(shares)
    assert (mapped["image"].reshape(whole.shape) == whole).all()
    assert (augment(batch(8), jax.random.key(1), True, 2)["image"] != whole).any()


@pytest.mark.parametrize("shift", [-1, 5])
def test_impossible_shift(shift):
    with pytest.raises(UserError, match=f"data.shift={shift}"):
        augment(batch(), KEY, False, shift)


def test_a_border_that_reflects():
    """Moved by one pixel each way: what comes in is the pixel beside the one at the edge."""
    after = np.asarray(augment(batch(100), KEY, False, 1, border="reflect")["image"])
    before = np.asarray(batch(100)["image"])
    padded = np.pad(before, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    for i in range(100):
        assert any(
            (padded[i, top : top + 6, left : left + 5] == after[i]).all()
            for top in range(3)
            for left in range(3)
        )
    with pytest.raises(UserError, match="did you mean 'reflect'"):
        augment(batch(), KEY, False, 1, border="reflected")


def test_some_are_mirrored_as_told():
    which = jnp.array([True, False] * 4)
    after, before = augment(batch(), KEY, which, 0)["image"], batch()["image"]
    np.testing.assert_array_equal(after[0::2], before[0::2, :, ::-1])
    np.testing.assert_array_equal(after[1::2], before[1::2])


def test_each_image_is_mirrored_in_every_other_epoch():
    """Seven examples in batches of four, which straddle epochs; on one device and on two."""
    examples, size, sides = 7, 4, {i: [] for i in range(7)}
    for step in range(14):
        index = jnp.asarray(order.indices(0, examples, step * size, size))
        which = mirrored_in_turn(index, KEY, jnp.int32(step), size, examples)
        for i, mirrored in zip(index.tolist(), which.tolist(), strict=True):
            sides[i].append(mirrored)

        def half(index, step=step):
            return mirrored_in_turn(index, KEY, jnp.int32(step), size, examples, "data")

        halves = jax.vmap(half, axis_name="data")(index.reshape(2, 2))
        np.testing.assert_array_equal(halves.reshape(-1), which)
    for each in sides.values():
        assert len(each) == 8 and all(a != b for a, b in itertools.pairwise(each))
    assert {each[0] for each in sides.values()} == {True, False}


def test_late_steps_are_counted_too():
    """2,147,483,646 steps of 1,024 are more examples than 32 bits count."""
    late, size, examples = 2**31 - 2, 1024, 50_000
    which = [
        mirrored_in_turn(jnp.arange(1), KEY, jnp.int32(step), size, examples).item()
        for step in (0, late)
    ]
    assert (which[0] != which[1]) == (late * size // examples % 2 == 1)
    with pytest.raises(UserError, match="a divisor of 200000002, or set data"):
        mirrored_in_turn(jnp.arange(1), KEY, jnp.int32(0), 1023, 100_000_001)
