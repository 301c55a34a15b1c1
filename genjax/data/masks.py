"""Masks of faults as MVTec AD has them: `ground_truth/KIND/NAME_mask.png` of `test/KIND/NAME.png`.

Bergmann et al. 2019, "MVTec AD: A comprehensive real-world dataset for unsupervised anomaly
detection". Of sets laid out like it, BTAD has no `_mask` in its names, and MVTec LOCO a folder
`ground_truth/KIND/NAME/` with a mask for each fault of a picture.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from genjax import images
from genjax.data import listing
from genjax.errors import UserError

FOLDER = "ground_truth"

# What the pictures without a fault are called: by MVTec, BTAD, and others.
USUAL = ("good", "ok", "normal")


class Masks(NamedTuple):
    """The masks of a folder's held-out pictures.

    Attributes:
      root: the folder that the masks' paths are relative to.
      of: {file of a picture: its masks}.
      sizes: {mask: its bytes}, of those that belong to a picture.
      note: a line for people.
    """

    root: str
    of: Mapping[str, list[str]]
    sizes: Mapping[str, int]
    note: str


def folder(name: str, root: str) -> str:
    """The sub-folder of `root` that holds masks, whatever its capitals; "" for none."""
    folders = [entry.name for entry in listing.entries(name, root)[0]]
    return next((each for each in folders if each.lower() == FOLDER), "")


def find(name: str, root: str, files: list[str], usual: str) -> Masks | None:
    """The masks beside a split; None where there is no folder of them.

    Args:
      name: what messages call the data set.
      root: the folder that the splits and `ground_truth` lie in.
      files: the held-out pictures, "KIND/NAME.png".
      usual: the kind that has no faults and needs no masks.
    """
    if not (place := folder(name, root)):
        return None
    root = os.path.join(root, place)
    found = listing.pictures(name, root)
    by_picture = {}
    for mask in found.files:
        stem = os.path.splitext(mask)[0]
        for key in (stem.removesuffix("_mask"), os.path.dirname(mask)):
            by_picture.setdefault(key, []).append(mask)
    faulty = [file for file in files if not file.startswith(f"{usual}/")]
    of = {file: by_picture.get(os.path.splitext(file)[0], []) for file in faulty}
    of = {file: masks for file, masks in of.items() if masks}
    size = dict(zip(found.files, found.sizes, strict=True))
    sizes = {mask: size[mask] for masks in of.values() for mask in masks}
    note = f"{place} has masks of {len(of):,} of {len(faulty):,} faulty pictures"
    if rest := len(found.files) - len(sizes):
        note += f", and {rest:,} that belong to none"
    return Masks(root, of, sizes, note)


def read(masks: Masks, file: str, shape: tuple[int, int], side: int) -> np.ndarray | None:
    """bool[side, side], where a picture has a fault; None where it has no mask.

    Masks are black where there is none; several of one picture are taken together. They are cut
    and resized as pictures are, and hold where at least half of a pixel is faulty.

    Args:
      file: the picture, one of those of `find`.
      shape: (height, width) of its file, which its masks have to have, too.

    Raises:
      UserError: a mask cannot be read, or has another size than its picture.
    """
    if file not in masks.of:
        return None
    whole = np.zeros((*shape, 1), np.uint8)
    for mask in masks.of[file]:
        found = images.read(os.path.join(masks.root, mask), 1)
        if found.shape != whole.shape:
            raise UserError(
                f"the mask {images.shown(mask)} has {found.shape[1]} x {found.shape[0]} px, its"
                f" picture {shape[1]} x {shape[0]}: bring it to that size"
            )
        whole[found > 0] = 255
    return images.crop_square(whole, side)[..., 0] >= 128
