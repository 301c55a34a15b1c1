"""Data sets that are folders of image files."""

import os
from pathlib import Path

import numpy as np

from genjax import images
from genjax.data.dataset import Dataset, Split, digest, hold_out
from genjax.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


class Folder(Split):
    """Image files below `root`. Reading one decodes it, crops its central square and resizes it."""

    def __init__(self, name: str, root: Path, files: list[str], labels: np.ndarray, config_data):
        self.name = name
        self.max_corrupt = config_data.max_corrupt
        self._root, self._files, self.labels = root, files, labels
        size = config_data.size
        # A folder may mix grey and colour files, so it is colour unless the config says grey.
        self.shape = (size, size, config_data.channels or 3)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, i: int) -> dict:
        size, _, channels = self.shape
        try:
            picture = images.read(self._root / self._files[i], channels)
        except UserError as error:  # it was listed, so it is a broken link or lacks permission
            raise images.ImageError(str(error)) from None
        return {"image": images.crop_square(picture, size), "label": self.labels[i]}

    def file(self, i: int) -> str:
        return images.shown(self._files[i])


def folder(path: str, config_data) -> Dataset:
    """Opens the images below a folder, sorted by relative path.

    Where there is a sub-folder `train` it is the training split, and `test` beside it the test
    split, and nothing else is read; without `test`, `data.test_fraction` is held out. Within a
    split the first-level sub-folders, sorted, are the classes, unless images lie beside them: the
    set is then unlabelled, and all sub-folders are read alike. Hidden files are left out; links to
    directories are followed. `data.channels=0` means RGB.

    Raises:
      UserError: no such folder, no images in it, `data.size` is not set, or a class of `test` is
        not in `train`.
    """
    name, root = f"folder:{images.shown(path)}", Path(os.path.expanduser(path))
    if not config_data.size:
        raise UserError(f"{name} needs a size for its images, such as :data={name},size=64")
    if not os.path.isdir(root):
        raise UserError(f"{name}: there is no such folder{images.nearest_files(root)}")
    names = ("train", "test") if (root / "train").is_dir() else ("",)
    if names == ("",) and (root / "test").is_dir():
        raise UserError(f"{name} has a sub-folder test but no train: name the other one train")
    listed = [(root / n, _files(name, root / n)) for n in names if (root / n).is_dir()]
    for place, files in listed:
        if not files:
            raise UserError(f"{name}: no images in {place} ({', '.join(SUFFIXES)})")
    classes = _classes(listed[0][1])
    labelled = [(place, files, _labels(place, files, classes)) for place, files in listed]
    if len(labelled) == 1:
        place, files, labels = labelled[0]
        labelled = [
            (place, [files[i] for i in part], labels[part])
            for part in hold_out(labels, config_data.test_fraction, name)
        ]
    train, test = (Folder(name, *split, config_data) for split in labelled)
    bits = digest(*(file for _, files, _ in labelled for file in files))
    return Dataset(name, train, test, len(classes), train.shape, bits, tuple(classes))


def _files(name: str, root: Path) -> list[str]:
    """The relative paths, with forward slashes, of all images below `root`, sorted.

    A folder that several links lead to is read once, under the first of its paths in sorted order:
    links to each other's folders would otherwise make more paths than can ever be walked.
    """
    found, ahead, known = [], [("", str(root))], set()
    try:
        while ahead:
            prefix, folder = ahead.pop()
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in known:
                continue
            known.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                # Hidden ones are left out; among them macOS' "._*.jpg", which are no images.
                entries = [entry for entry in entries if not entry.name.startswith(".")]
            for entry in sorted(entries, key=lambda entry: entry.name, reverse=True):
                if os.path.isdir(entry.path):
                    ahead.append((f"{prefix}{entry.name}/", entry.path))
                elif entry.name.lower().endswith(SUFFIXES):
                    found.append(prefix + entry.name)
    except OSError as error:
        raise UserError(
            f"{name}: {images.shown(error.filename)} cannot be listed: {error.strerror}"
        ) from None
    return sorted(found)


def _classes(files: list[str]) -> list[str]:
    if any("/" not in file for file in files):
        return []
    return sorted({file.split("/")[0] for file in files})


def _labels(place: Path, files: list[str], classes: list[str]) -> np.ndarray:
    if not classes:
        return np.zeros(len(files), np.int32)
    number = {name: i for i, name in enumerate(classes)}
    unknown = sorted({file.split("/")[0] for file in files} - set(number))
    if unknown:
        raise UserError(
            f"{place} has {unknown[0]}, which is no class of train: {', '.join(classes[:10])}"
        )
    return np.array([number[file.split("/")[0]] for file in files], np.int32)
