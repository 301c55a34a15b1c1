"""What the sub-folders of a folder of pictures mean: splits, classes, or a folder around them.

Nothing is guessed in silence: what is left out is said in a note, and what may mean two things is
refused.
"""

import os
import re
from typing import NamedTuple

import numpy as np

from genjax import images
from genjax.data import listing
from genjax.data import masks as masks_lib
from genjax.data.listing import Listing
from genjax.errors import UserError

# What people call the parts of a data set, in any mixture of capitals: {name: part}.
_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation", "holdout"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "val"),
}
# With what is written around it, as in test_set, train-images, seg_train, val2017 and test1.
_PART = re.compile(
    rf"(?:seg[ _-])?({'|'.join(_PARTS)})(?:[ _-]?(?:set|data|dataset|images|split))?[ _-]?\d{{0,4}}"
)
# What looks like a split beside another, as in trainA and testA, and is none of the above.
_TRAIN_LIKE, _HELD_LIKE = (re.compile(rf"(?i:{x})(?![a-z])") for x in ("train(ing)?", "test|val"))
_SHOWN = 5  # names that a message lists


class Part(NamedTuple):
    """Pictures that train, or that are held out.

    Attributes:
      root: the folder that `files` are relative to.
      files: relative paths.
      sizes: bytes of each file.
      labels: i32[N], positions in `Layout.classes`; zeros where there are no classes.
    """

    root: str
    files: list[str]
    sizes: list[int]
    labels: np.ndarray


class Layout(NamedTuple):
    """How a folder of pictures divides.

    Attributes:
      train: what to train on.
      test: what is held out; None where the folder does not say.
      classes: the names of the classes, sorted by Unicode code points; () for none.
      notes: lines for people.
      usual: the class that trains, where the others are kinds of faults; "" where there are none.
      masks: those of the held-out pictures with faults; None where there are none.
    """

    train: Part
    test: Part | None
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    usual: str = ""
    masks: masks_lib.Masks | None = None


def find(name: str, root: str, classes: bool, others: bool = False) -> Layout:
    """Finds splits and classes below `root`.

    Sub-folders that are called as people call splits, such as `Train` and `valid`, are splits; of
    several to hold out, `test` is taken. A folder around all others is opened. Then the first-level
    sub-folders of a split are its classes. A few pictures beside them are left out; where more lie
    there, the sub-folders are no classes, and all is read alike.

    Where all that trains is called `good` (or as `masks.USUAL` says), and some of what is held out,
    that is MVTec's way: the others are kinds of faults, and `ground_truth` has masks of them.

    Args:
      name: what messages call the data set.
      root: the folder.
      classes: whether sub-folders are classes at all.
      others: whether held-out pictures may have classes that none to train on has.

    Raises:
      UserError: there are no pictures, or the names may mean two things.
    """
    if parts := _parts(name, root):
        return _from_parts(name, root, parts, classes, others)
    found = _pictures(name, root)
    notes = [listing.describe_left_out(found.left_out)]
    if prefix := _around(found.files):
        root, found = os.path.join(root, prefix), found.below(prefix)
        notes.append(f"all pictures lie in {images.shown(prefix)}, which is opened")
        if parts := _parts(name, root):
            inner = _from_parts(name, root, parts, classes, others)
            return inner._replace(notes=(notes[-1], *inner.notes))
    found, names, said = _classes(found, "", classes)
    _check_no_splits(name, found.files)
    train = Part(root, found.files, found.sizes, _labels(found.files, names))
    return Layout(train, None, tuple(names), tuple(filter(None, [*notes, *said])))


def _parts(name: str, root: str) -> dict[str, list[str]]:
    """{"train" | "test" | "val": [sub-folders of `root` that are called so]}; {} for none."""
    parts = {}
    for entry in listing.entries(name, root)[0]:
        if part := _part(entry.name):
            parts.setdefault(part, []).append(entry.name)
    return parts


def _part(folder: str) -> str:
    match = _PART.fullmatch(folder.lower())
    return _PARTS[match[1]] if match else ""


def _from_parts(
    name: str, root: str, parts: dict[str, list[str]], classes: bool, others: bool
) -> Layout:
    notes = _beside(name, root, parts)
    train_root, found, said = _open(name, root, _one(name, parts["train"]), ())
    notes += said
    found, names, said = _classes(found, parts["train"][0], classes)
    notes += said
    usual, trained, test, masks = "", names, None, None
    for part in ("test", "val"):
        if part not in parts:
            continue
        if test:
            notes.append(
                f"held out is {_listed(parts['test'])}; {_listed(parts[part])} is left out"
            )
            continue
        folder = _one(name, parts[part])
        held_root, held, said = _open(name, root, folder, trained)
        held, held_names, more = _classes(held, folder, bool(trained))
        if trained and not held_names:
            notes.append(f"{_listed([folder])} is left out: it has no class folders as train has")
            continue
        usual = _usual(trained, held_names)
        if trained and not (usual or others):
            _check_classes(name, parts["train"][0], trained, folder, held_names)
        notes += said + more
        if missing := [x for x in trained if x not in held_names]:
            notes.append(f"{_listed([folder])} has no pictures of {_listed(missing)}")
        names = sorted({*trained, *held_names}) if trained else []
        test = Part(held_root, held.files, held.sizes, _labels(held.files, names))
        masks = masks_lib.find(name, root, held.files, usual) if usual else None
    place = masks_lib.folder(name, root)
    if masks:
        notes.append(masks.note)
    elif place and listing.holds_pictures(name, os.path.join(root, place)):
        notes.append(f"left out: {images.shown(place)}, beside {_listed(parts['train'])}")
    train = Part(train_root, found.files, found.sizes, _labels(found.files, names))
    return Layout(train, test, tuple(names), tuple(filter(None, notes)), usual, masks)


def _usual(trained: list[str], held: list[str]) -> str:
    """The one class that trains, where the held-out pictures are of it and of faults; or ""."""
    if len(trained) != 1 or trained[0].lower() not in masks_lib.USUAL:
        return ""
    return trained[0] if trained[0] in held and len(held) > 1 else ""


def _beside(name: str, root: str, parts: dict[str, list[str]]) -> list[str]:
    """Notes of what lies beside the splits and is not read.

    Raises:
      UserError: it is not clear whether the folders are splits at all.
    """
    folders, files = listing.entries(name, root)
    others = [entry.name for entry in folders if not _part(entry.name)]
    others = [x for x in others if x != masks_lib.folder(name, root)]  # which has a note of its own
    others = [x for x in others if listing.holds_pictures(name, os.path.join(root, x))]
    held = [folder for part in ("test", "val") for folder in parts.get(part, ())]
    if "train" not in parts:
        raise UserError(
            f"{name} has {_listed(held)} but no train: call the folder to train on train, or"
            f" rename {_listed(held[:1])} if it is a class"
        )
    if others and not held:
        raise UserError(
            f"{name} has {_listed(parts['train'])} beside {_listed(others)}: rename"
            f" {_listed(parts['train'][:1])} if it is a class, or move the others away if it is"
            " all that is to train"
        )
    stray = [entry.name for entry in files if listing.is_picture(entry.path)]
    notes = []
    if others:
        notes.append(f"left out: {_listed(others)}, beside {_listed([*parts['train'], *held])}")
    if stray:
        notes.append(f"left out: {_counted(stray)} beside {_listed([*parts['train'], *held])}")
    return notes


def _one(name: str, folders: list[str]) -> str:
    if len(folders) > 1:
        raise UserError(f"{name} has {_listed(folders)}, which mean the same: keep one of them")
    return folders[0]


def _open(name: str, root: str, folder: str, classes) -> tuple[str, Listing, list[str]]:
    """(folder, its pictures, notes) of a split, without the folder around all of them."""
    found = _pictures(name, os.path.join(root, folder))
    prefix = _around(found.files, classes, inside=True)
    note = listing.describe_left_out(found.left_out)
    notes = [f"{images.shown(folder)}: {note}"] if note else []
    return os.path.join(root, folder, prefix), found.below(prefix), notes


def _pictures(name: str, root: str) -> Listing:
    found = listing.pictures(name, root)
    if not found.files:
        left_out = listing.describe_left_out(found.left_out)
        raise UserError(
            f"{name}: no images in {images.shown(root)}" + (f" ({left_out})" if left_out else "")
        )
    return found


def _around(files: list[str], classes=(), inside: bool = False) -> str:
    """ "a/b/", the sub-folders to open: each holds all pictures, and classes or one more folder.

    Args:
      classes: names that are classes, so that such a folder is not opened.
      inside: whether the folder is a split already; otherwise folders are opened only down to
        where splits are.
    """
    prefix = ""
    while True:
        folders = _first_folders(files)
        if len(folders) != 1 or len(files) > sum(folders.values()):
            return prefix
        [folder] = folders
        inner = [file[len(folder) + 1 :] for file in files]
        opens = listing.composed(folder) not in classes and (
            _are_classes(inner) or not _loose(inner)
        )
        if not opens or (_part(folder) and not inside):
            return prefix
        prefix, files = f"{prefix}{folder}/", inner


def _classes(found: Listing, folder: str, wanted: bool) -> tuple[Listing, list[str], list[str]]:
    """(pictures that are read, names of their classes, notes) of one split.

    Args:
      folder: the split's, for notes; "" for a folder without splits.
      wanted: whether sub-folders are classes at all.
    """
    folders, loose = _first_folders(found.files), _loose(found.files)
    if not wanted or not folders:
        return found, [], []
    where = f" of {images.shown(folder)}" if folder else ""
    if loose and not _are_classes(found.files):
        note = (
            f"{len(loose):,} pictures lie beside the sub-folders{where} ({_listed(folders)}), which"
            " are therefore no classes: all are read alike"
        )
        return found, [], [note]
    names = list(dict.fromkeys(map(listing.composed, folders)))
    if not loose:
        return found, names, []
    kept = found.only("/" in file for file in found.files)
    return kept, names, [f"left out: {_counted(loose)} beside the class folders{where}"]


def _are_classes(files: list[str]) -> bool:
    """Whether the first-level folders are classes.

    They are where there are two or more, and fewer pictures lie beside them, such as a contact
    sheet, than in one of them on average.
    """
    folders = _first_folders(files)
    inside = sum(folders.values())
    return len(folders) > 1 and (len(files) - inside) * len(folders) < inside


def _first_folders(files: list[str]) -> dict[str, int]:
    """{first-level folder: pictures in it}, in the order of `files`, which is sorted."""
    counts = {}
    for file in files:
        folder, slash, _ = file.partition("/")
        if slash:
            counts[folder] = counts.get(folder, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: listing.composed(item[0])))


def _loose(files: list[str]) -> list[str]:
    return [file for file in files if "/" not in file]


def _labels(files: list[str], classes: list[str]) -> np.ndarray:
    if not classes:
        return np.zeros(len(files), np.int32)
    number = {name: i for i, name in enumerate(classes)}
    return np.array([number[listing.composed(file.split("/")[0])] for file in files], np.int32)


def _check_no_splits(name: str, files: list[str]):
    """Refuses splits that are not recognised: they would train on what is to be held out.

    Raises:
      UserError: folders are called like trainA and testA, or each class has splits of its own.
    """
    folders = _first_folders(files)
    if any(map(_TRAIN_LIKE.match, folders)) and (held := list(filter(_HELD_LIKE.match, folders))):
        raise UserError(
            f"{name} has {_listed(held)}, which look like splits: call one folder train and one"
            " test, or name the folder to train on"
        )
    second = {tuple(file.split("/")[:2]) for file in files if file.count("/") > 1}
    parts = {}
    for folder, inner in sorted(second):
        parts.setdefault(folder, set()).add(_part(inner))
    for folder, found in parts.items():
        if "train" in found and found & {"test", "val"}:
            raise UserError(
                f"{name}: {_listed([folder])} has splits of its own: make folders train and test"
                f" that hold the classes, or name {_listed([folder])} if it is all that is to train"
            )


def _check_classes(name: str, train: str, classes: list[str], folder: str, held: list[str]):
    if unknown := [x for x in held if x not in classes]:
        raise UserError(
            f"{name}: {_listed([folder])} has {_listed(unknown)}, which is no class of {train}:"
            f" {_listed(classes)}; rename or remove it, name the classes that train with"
            " data.classes if it is to be told from them, or set data.labels=none if sub-folders"
            " are no classes"
        )


def _listed(names) -> str:
    names = [images.shown(name) for name in names]
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _counted(files: list[str]) -> str:
    return f"{len(files):,} picture{'s' * (len(files) > 1)} ({_listed(files)})"
