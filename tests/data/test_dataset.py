"""Data sets by name: what each source reads, and what it says when it cannot."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from genjax import config as config_lib
from genjax.data import open_dataset
from genjax.data.arrays import Arrays
from genjax.data.dataset import Dataset, conform, digest, hold_out
from genjax.errors import UserError


def config(name, **changes):
    values = config_lib.dataset(name, 0).to_dict() | {"max_corrupt": 0}
    return ConfigDict({**values, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "mnits"}, r"data.name=mnits is no data set.*did you mean mnist\?"),
        ({"name": "shape"}, r"did you mean shapes\?"),
        ({"name": "folders:x"}, r"did you mean folder:PATH\?"),
        ({"name": "npz"}, r"did you mean npz:PATH\?"),
        ({"name": ""}, "they are mnist, shapes, npz:PATH, folder:PATH, tfds:NAME"),
        ({"size": -1}, "data.size=-1"),
        ({"channels": 2}, "data.channels=2"),
        ({"test_fraction": 1.0}, "data.test_fraction=1.0"),
        ({"max_corrupt": -1}, "data.max_corrupt=-1"),
        ({"labels": "some"}, "data.labels=some must be folders or none"),
        ({"labels": "none"}, "data.labels=none is for folders, not for data.name=mnist"),
    ],
)
def test_impossible_values(changes, message):
    with pytest.raises(UserError, match=message):
        open_dataset(config(**{"name": "mnist", **changes}))


def test_some_of_the_training_images_watch_the_training():
    """Evenly spaced: every ninth of 4,500 sorted digits, so that each class has its share."""
    plain, found = open_dataset(config("mnist")), open_dataset(config("mnist", validation=500))
    assert (len(found.train), len(found.validation), len(found.test)) == (4000, 500, 500)
    assert found.watched is found.validation and plain.watched is plain.test
    np.testing.assert_array_equal(np.bincount(found.validation.labels), [50] * 10)
    np.testing.assert_array_equal(found.validation[1]["image"], plain.train[9]["image"])
    np.testing.assert_array_equal(found.train[0]["image"], plain.train[1]["image"])
    assert found.digest != plain.digest
    with pytest.raises(UserError, match=r"data\.validation=4500 has to be less than the 4500"):
        open_dataset(config("mnist", validation=4500))


def test_mnist_is_a_fixed_stratified_split():
    data = open_dataset(config("mnist", size=32))
    assert (len(data.train), len(data.test), data.classes) == (4500, 500, 10)
    assert data.shape == data.train.shape == (32, 32, 1)
    for split, each in ((data.train, 450), (data.test, 50)):
        labels = [int(split[i]["label"]) for i in range(len(split))]
        assert np.bincount(labels).tolist() == [each] * 10
    image = data.train[0]["image"]
    assert image.dtype == np.uint8 and image.shape == (32, 32, 1) and image.max() > 200
    assert image[:2].max() == image[-2:].max() == image[:, :2].max() == 0


def test_conform():
    digit = np.random.default_rng(0).integers(0, 256, (28, 28, 1), np.uint8)
    assert (conform(digit, 32, 0)[2:-2, 2:-2] == digit).all()
    assert conform(digit, 0, 0) is digit
    assert conform(digit, 14, 3).shape == (14, 14, 3)
    assert conform(np.zeros((20, 30, 3), np.uint8), 32, 1).shape == (32, 32, 1)


def test_hold_out_takes_the_share_of_every_class():
    labels = np.random.default_rng(0).integers(0, 4, 200)
    train, test = hold_out(labels, 0.1, "set")
    assert sorted([*train, *test]) == list(range(200)) and len(test) == 20
    share = np.bincount(labels[test], minlength=4) - np.bincount(labels) / 10
    assert abs(share).max() <= 1
    assert [len(part) for part in hold_out(labels, 0.0, "set")] == [200, 0]
    assert [len(part) for part in hold_out(labels[:2], 0.01, "set")] == [1, 1]
    with pytest.raises(UserError, match="set has one image"):
        hold_out(labels[:1], 0.1, "set")


def test_what_a_run_says_of_its_data():
    digits = open_dataset(config("mnist"))
    names = ", ".join(map(str, range(10)))
    assert digits.describe() == (
        f"train on 4,500 pictures of 10 classes ({names}; 450 of each),"
        " 500 are held out (50 of each)"
    )

    def described(train, test, classes):
        splits = [Arrays("", np.zeros((len(y), 1, 1, 1), np.uint8), y, 0, 0) for y in (train, test)]
        names = tuple(f"c{i}" for i in range(classes))
        return Dataset("", *splits, classes, (1, 1, 1), "", names).describe()

    some, no = np.array([0, 1, 1, 1], np.int32), np.zeros(0, np.int32)
    assert described(some, some[:2], 2) == (
        "train on 4 pictures of 2 classes (c0 1, c1 3), 2 are held out (1 of each)"
    )
    assert described(some, no, 0) == "train on 4 pictures without classes, none are held out"
    assert described(no, no, 1) == "train on 0 pictures of 1 class, none are held out"
    many = np.append(np.arange(1200), 7).astype(np.int32)
    assert "c9 1, and 1,190 more; 1 to 2 of each), 1,201 are held out" in described(
        many, many, 1200
    )


def test_the_digest_of_arrays_sees_each_byte(tmp_path):
    first = npz(tmp_path).digest
    (tmp_path / "elsewhere").mkdir()
    assert npz(tmp_path / "elsewhere").digest == first and len(first) == 32
    changed = arrays()["x_test"].copy()
    changed[-1, -1, -1, -1] += 1
    assert npz(tmp_path, x_test=changed).digest != first
    assert npz(tmp_path, y_train=arrays()["y_train"][::-1]).digest != first
    assert digest("ab", "c") != digest("a", "bc")
    # From coreutils: printf 'text 3\nabc|u1(2,) 2\n\1\2' | sha256sum
    assert digest("abc", np.array([1, 2], np.uint8)) == "72276cf2cbd2aaed976a212f2c816bb6"


def arrays(n=6, **changes):
    x = np.arange(n * 4 * 4 * 3, dtype=np.uint8).reshape(n, 4, 4, 3)
    y = np.arange(n) % 3
    whole = dict(x_train=x, y_train=y, x_test=x[:2], y_test=y[:2, None])
    return {k: v for k, v in {**whole, **changes}.items() if v is not None}


def npz(tmp_path, **changes):
    np.savez(tmp_path / "a.npz", **arrays(**changes))
    return open_dataset(config(f"npz:{tmp_path / 'a.npz'}"))


def test_npz(tmp_path):
    data = npz(tmp_path)
    assert (len(data.train), len(data.test), data.classes, data.shape) == (6, 2, 3, (4, 4, 3))
    assert (data.train[5]["image"] == arrays()["x_train"][5]).all()
    assert data.test[1]["label"] == 1 and data.test[1]["label"].dtype == np.int32
    unlabelled = npz(tmp_path, y_train=None, y_test=None)
    assert (unlabelled.classes, unlabelled.train[4]["label"]) == (0, 0)
    carved = npz(tmp_path, x_test=None, y_test=None)
    assert (len(carved.train), len(carved.test), carved.classes) == (5, 1, 3)
    assert npz(tmp_path, **{k: arrays()[k][..., 0] for k in ("x_train", "x_test")}).shape[2] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": None}, "has no x_train, it has y_train, x_test, y_test"),
        ({"x_train": np.zeros((6, 4, 4, 3))}, "x_train is float64, it must be uint8"),
        ({"x_train": np.zeros((6, 4, 4, 4), np.uint8)}, r"x_train has shape \(6, 4, 4, 4\)"),
        ({"x_train": np.zeros((0, 4, 4, 3), np.uint8)}, "and not empty"),
        ({"x_test": np.zeros((2, 5, 4, 3), np.uint8)}, r"x_train has images of \(4, 4, 3\)"),
        ({"y_train": np.zeros(5, int)}, r"y_train is int64\[5\], it must be integers \[6\]"),
        ({"y_train": np.zeros(6)}, "y_train is float64"),
        ({"y_train": np.full(6, -1)}, "label -1"),
        ({"y_train": np.full(6, 2**40)}, "label 1099511627776, number the classes 0, 1, 2"),
        ({"y_test": None}, "one of y_train and y_test"),
        ({"x_train": np.array([{}])}, "holds Python objects"),
    ],
)
def test_npz_that_is_not_right(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        npz(tmp_path, **changes)


def test_npz_that_is_no_npz(tmp_path):
    path = tmp_path / "a.npz"

    def message():
        with pytest.raises(UserError) as caught:
            open_dataset(config(f"npz:{path}"))
        return str(caught.value)

    assert "does not exist" in message()
    np.savez(path, **arrays())
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:cut])
        assert "cut off" in message()
    damaged = bytearray(whole)
    damaged[300] ^= 255
    path.write_bytes(damaged)
    assert "cut off or damaged" in message()
    np.save(tmp_path / "b.npy", np.zeros(3))
    (tmp_path / "b.npy").rename(path)
    assert "a single array" in message()
