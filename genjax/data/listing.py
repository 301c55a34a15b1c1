"""Which files below a folder are pictures, and what kinds of files are not."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from genjax import decoding, dicom, images
from genjax.errors import UserError

# What systems and programs leave in folders, besides hidden files.
_JUNK = {
    *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    *("dicomdir", "@eadir", "$recycle.bin", "system volume information", "lost+found"),
}

# Raw photographs are TIFF files to Pillow, which would read the thumbnail in them.
_RAW = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".kdc", ".mrw", ".nef", ".nrw"),
    *(".orf", ".pef", ".raf", ".raw", ".rw2", ".sr2", ".srf", ".srw", ".thm", ".x3f"),
)
_HEIF = (".heic", ".heif", ".hif")
_DICOM = ".dcm"  # what such files are counted as where they cannot be read, also without a suffix
_KINDS_SHOWN = 8


class Listing(NamedTuple):
    """The pictures below a folder.

    Attributes:
      files: their relative paths, with forward slashes; sorted by Unicode code points, whatever
        the machine's language.
      sizes: their bytes; -1 for a link that leads nowhere.
      left_out: {kind: how many} of the files that are no pictures; a kind is a suffix in small
        letters, or "".
    """

    files: list[str]
    sizes: list[int]
    left_out: Counter[str]

    def below(self, prefix: str) -> "Listing":
        """The pictures in the sub-folder `prefix` ("name/"), which all of them have to lie in."""
        return self._replace(files=[file[len(prefix) :] for file in self.files])

    def only(self, keep: Iterable[bool]) -> "Listing":
        """The pictures for which `keep` is true."""
        kept = [i for i, keeping in enumerate(keep) if keeping]
        return self._replace(
            files=[self.files[i] for i in kept], sizes=[self.sizes[i] for i in kept]
        )


def pictures(name: str, root: str) -> Listing:
    """Lists the pictures below `root`.

    A file with the suffix of a picture counts as one, so that a damaged one is missed; of any other
    file the header decides. Folders are those of `walk`.

    Args:
      name: what messages call the data set.

    Raises:
      UserError: a folder may not be listed.
    """
    found, left_out = [], Counter()
    for prefix, files in walk(name, root):
        for entry in files:
            if is_picture(entry.path):
                found.append((composed(prefix + entry.name), prefix + entry.name, _size(entry)))
            else:
                left_out[_kind(entry)] += 1
    found.sort()
    return Listing([file for _, file, _ in found], [size for _, _, size in found], left_out)


def holds_pictures(name: str, root: str) -> bool:
    """Whether any picture lies below `root`; stops at the first."""
    return any(is_picture(entry.path) for _, files in walk(name, root) for entry in files)


def walk(name: str, root: str) -> Iterator[tuple[str, list[os.DirEntry]]]:
    """Yields (path, files) of `root` and all folders below it; a path is "" or "folder/folder/".

    Hidden files and what systems leave behind are passed over. Links to folders are followed; a
    folder that several links lead to is read once, under the first of its paths in sorted order:
    links to each other's folders would otherwise make more paths than can ever be walked.

    Args:
      name: what messages call the folder.

    Raises:
      UserError: a folder may not be listed.
    """
    ahead, known = [("", root)], set()
    while ahead:
        prefix, folder = ahead.pop()
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in known:
            continue
        known.add((status.st_dev, status.st_ino))
        folders, files = entries(name, folder)
        yield prefix, files
        ahead += [(f"{prefix}{entry.name}/", entry.path) for entry in reversed(folders)]


def entries(name: str, folder: str) -> tuple[list[os.DirEntry], list[os.DirEntry]]:
    """(sub-folders, other entries) of one folder, each sorted; without hidden ones and junk.

    Raises:
      UserError: it may not be listed.
    """
    try:
        with os.scandir(folder) as scanned:
            # Among the hidden ones are macOS' "._*.jpg", which are no pictures.
            found = [e for e in scanned if not e.name.startswith(".") and not e.name.endswith("~")]
    except OSError as error:
        raise UserError(
            f"{name}: {images.shown(error.filename)} cannot be listed: {error.strerror}"
        ) from None
    found = [entry for entry in found if entry.name.lower() not in _JUNK]
    found.sort(key=lambda entry: composed(entry.name))
    # Unlike `entry.is_dir`, `isdir` takes a link that leads to itself for no folder.
    folders = [os.path.isdir(e.path) if e.is_symlink() else e.is_dir() for e in found]
    return (
        [entry for entry, is_folder in zip(found, folders, strict=True) if is_folder],
        [entry for entry, is_folder in zip(found, folders, strict=True) if not is_folder],
    )


def is_picture(path: str) -> bool:
    """Whether a file is a picture by its suffix or, without a known suffix, by its header."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix in decoding.SUFFIXES:
        return True
    if suffix in dicom.SUFFIXES:
        return dicom.installed()
    return suffix not in _RAW and decoding.is_picture(path)


def _kind(entry: os.DirEntry) -> str:
    suffix = os.path.splitext(entry.name)[1].lower()
    return _DICOM if suffix in dicom.SUFFIXES or decoding.is_dicom(entry.path) else suffix


def describe_left_out(left_out: Counter[str]) -> str:
    """ "left out: 4 .txt, 1 .heic (pip install pillow-heif reads these)"; "" for nothing."""
    if not left_out:
        return ""
    kinds = []
    for suffix, count in left_out.most_common(_KINDS_SHOWN):
        hint = ""
        if suffix in _HEIF:
            hint = " (pip install pillow-heif reads these)"
        elif suffix == _DICOM:
            hint = f" ({dicom.NEEDS} reads these)"
        elif suffix in _RAW:
            hint = " (raw photographs: save them as TIFF or JPEG)"
        kinds.append(f"{count:,} {images.shown(suffix) or 'without a suffix'}{hint}")
    rest = left_out.total() - sum(count for _, count in left_out.most_common(_KINDS_SHOWN))
    return f"left out: {', '.join(kinds)}" + (f", {rest:,} others" if rest else "")


def composed(name: str) -> str:
    """A name with é as one character, where some systems store an e and an accent."""
    return unicodedata.normalize("NFC", name)


def _size(entry: os.DirEntry) -> int:
    try:
        return entry.stat().st_size
    except OSError:
        return -1
