"""Data sets that are folders of image files."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from genjax import decoding, images, windows
from genjax.colour import WHITE
from genjax.data import classes, layout
from genjax.data import masks as masks_lib
from genjax.data.dataset import Dataset, Split, Subset, digest, hold_out
from genjax.data.listing import composed
from genjax.errors import UserError

_LOOKED_AT = 1000  # pictures; those of 8 bits a channel take 40 us each, which are not decoded
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")


class Folder(Split):
    """Image files. Reading one decodes it, crops its central square and resizes it."""

    def __init__(self, name: str, part: layout.Part, white: int | None, config_data, masks=None):
        self.name = name
        self.max_corrupt = config_data.max_corrupt
        self._root, self._files, self.labels = part.root, part.files, part.labels
        self._white, self._masks = white, masks
        self._window = windows.parse(config_data.window)
        self.seen_through = (str(tuple(self._window)),) if self._window else ()
        size = config_data.size
        # A folder may mix grey and colour files, so it is colour unless the config says grey.
        self.shape = (size, size, config_data.channels or 3)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, i: int) -> dict:
        return {"image": images.crop_square(self._read(i), self.shape[0]), "label": self.labels[i]}

    def _read(self, i: int) -> np.ndarray:
        """The whole picture, u8[h, w, C]."""
        try:
            path = os.path.join(self._root, self._files[i])
            return images.read(path, self.shape[2], self._white, self._window)
        except UserError as error:  # it was listed, so it is a broken link or lacks permission
            raise images.ImageError(str(error)) from None

    def mask(self, i: int) -> np.ndarray | None:
        if not self._masks:
            return None
        return masks_lib.read(self._masks, self._files[i], self._read(i).shape[:2], self.shape[0])

    def content(self, i: int) -> bytes | None:
        try:
            return Path(self._root, self._files[i]).read_bytes()
        except OSError:
            return None

    def file(self, i: int) -> str:
        return images.shown(self._files[i])


def folder(path: str, config_data) -> Dataset:
    """Opens the images below a folder, sorted by relative path (`layout.find` has the rules).

    Where the folder holds nothing out itself, `data.test_fraction` of it is held out.
    `data.labels=none` reads all sub-folders of a split alike. `data.channels=0` means RGB. Of
    MVTec's folders only what is good trains, unless `data.classes` says otherwise.

    Raises:
      UserError: no such folder, no images in it, `data.size` is not set, a class of the held-out
        images is not among those to train on, or sub-folders may mean two things.
    """
    name, root = f"folder:{images.shown(path)}", Path(path)
    if not config_data.size:
        raise UserError(f"{name} needs a size for its images, such as :data={name},size=64")
    if not os.path.isdir(root):
        raise UserError(f"{name}: {_no_folder(root)}")
    some = bool(config_data.classes)
    found = layout.find(name, str(root), config_data.labels == "folders", others=some)
    white, notes = (None, []) if config_data.window else _white(found)
    train = Folder(name, found.train, white, config_data)
    if found.test:
        splits = train, Folder(name, found.test, white, config_data, found.masks)
    else:
        held_out = hold_out(train.labels, config_data.test_fraction, name)
        splits = (Subset(train, part) for part in held_out)
    names, notes = found.classes, (*found.notes, *notes)
    bits = _digest(found, train.seen_through)
    dataset = Dataset(name, *splits, len(names), train.shape, bits, names, notes)
    return classes.only(dataset, [found.usual]) if found.usual and not some else dataset


def _white(found: layout.Layout) -> tuple[int | None, list[str]]:
    """(the value of 16 bits that is white in this set, notes about it); None for 65535.

    Sensors of 12 bits leave files of 16 bits that read nearly black. So where 16-bit pictures use
    less than an eighth of their range, all are scaled alike: to the bits that the largest value of
    a thousand evenly spaced pictures takes. A later picture beyond that is an unreadable one.
    """
    parts = list(filter(None, (found.train, found.test)))
    paths = [os.path.join(part.root, file) for part in parts for file in part.files]
    looked = [paths[i] for i in range(0, len(paths), -(-len(paths) // _LOOKED_AT))]
    with ThreadPoolExecutor() as pool:
        values = [value for value in pool.map(decoding.largest_value, looked) if value is not None]
    largest = max(values, default=0)
    if not 0 < largest < (WHITE + 1) // 8:
        return None, []
    bits = largest.bit_length()
    return 2**bits - 1, [
        f"pictures of 16 bits use {bits} of them (up to {largest:,}): all are made"
        f" {2 ** (16 - bits)} times brighter"
    ]


def _no_folder(path: Path) -> str:
    """Why `path` is no folder, and what to name instead."""
    if not os.path.isfile(path):
        return f"there is no such folder{images.nearest_files(path)}"
    if path.suffix.lower() in _ARCHIVES:
        return "it is an archive: unpack it, and name the folder that comes out"
    if path.suffix.lower() == ".npz":
        return f"it is a file of arrays: data.name=npz:{images.shown(path)} reads it"
    return f"it is a file: name the folder that it lies in, {images.shown(path.parent)}"


def _digest(found: layout.Layout, seen_through: tuple[str, ...]) -> str:
    """Of names and sizes of the files, wherever they lie, and of the window if there is one."""
    lines = []
    for part in filter(None, (found.train, found.test)):
        files = map(composed, part.files)
        lines.append(f"{len(part.files)} files")
        lines += [f"{file} {size}" for file, size in zip(files, part.sizes, strict=True)]
    if found.masks:
        lines += ["masks", *(f"{mask} {size}" for mask, size in found.masks.sizes.items())]
    return digest(*lines, *seen_through)
