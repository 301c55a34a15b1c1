import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data.augment import augment
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
