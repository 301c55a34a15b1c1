"""Which pictures a style config's text names: files, folders, globs, built-in names and runs."""

import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

from genjax import images
from genjax.data import listing
from genjax.errors import UserError
from genjax.files import expanded, natural_order
from genjax.task import RUN_PREFIX

_LONGEST_PATH = 4096  # characters, on Linux
_ANY_DEPTH = re.compile(r"(.*?/)\*\*(?:/(.*))?", re.DOTALL)  # "**" as a whole name: (before, after)


def names(text: str) -> list[str]:
    """The pictures that a config value names: each is for `task.Inputs.read_picture`.

    A value has one or several of these, with commas between them: a file; a folder, for the
    pictures in it, without those in its sub-folders; a glob with `*`, `?`, `[…]`, or `**` for
    folders of any depth; a built-in name; or `run:WORKDIR`. The pictures of a folder or a glob
    come in natural order, img2 before img10. Hidden files and files that are no pictures are left
    out. A file or folder whose own name has a comma or one of `*?[` in it is taken as it is.

    Raises:
      UserError: a folder or a glob has no picture, or a folder may not be listed.
    """
    return [picture for source in _sources(text) for picture in _pictures(source)]


def _sources(text: str) -> list[str]:
    """The parts between commas, `~` expanded; those that together name a file are one part."""
    found, parts = [], text.split(",")
    while parts:
        first = expanded(parts[0].lstrip())
        joined, taken = first, 1
        any_with_comma = glob.glob(f"{glob.escape(first)},*")  # or thousands of names take minutes
        for n in range(2, len(parts) + 1 if any_with_comma else 0):
            longer = ",".join([first, *parts[1:n]])
            if len(longer) > _LONGEST_PATH:
                break
            if _has_commas_of_its_own(longer):
                joined, taken = longer, n
        found.append(joined if os.path.exists(joined) else joined.rstrip())
        parts = parts[taken:]
    return [source for source in found if source]


def _has_commas_of_its_own(text: str) -> bool:
    """Whether a text with commas is one path, or a glob in a folder whose name has the commas."""
    for path in (text, text.rstrip()):
        folder = _fixed(path)
        of_folder = folder.count(",") == path.count(",") and os.path.isdir(folder)
        if os.path.exists(path) or (glob.has_magic(path) and of_folder):
            return True
    return False


def _pictures(source: str) -> list[str]:
    if source in images.BUILTIN or source.startswith(RUN_PREFIX):
        return [source]
    if os.path.isdir(source):
        return _in_folder(source)
    if glob.has_magic(source) and not os.path.exists(source):
        return _matching(source)
    return [source]


def _in_folder(folder: str) -> list[str]:
    folders, files = listing.entries(images.shown(folder), folder)
    found = [os.path.join(folder, file.name) for file in files if listing.is_picture(file.path)]
    if not found:
        hint = ""
        if folders:
            deep = os.path.join(glob.escape(folder), "**")
            hint = f"; those in its sub-folders are {images.shown(deep)}"
        raise UserError(f"there are no pictures in the folder {images.shown(folder)}{hint}")
    return sorted(found, key=natural_order)


def _matching(pattern: str) -> list[str]:
    # From "./" on, a file that is named as a built-in picture or a run is still a file.
    full = pattern if os.path.isabs(pattern) else os.path.join(os.curdir, pattern)
    once = {}  # links to folders may lead to a file on several paths
    for path in _expand(full):
        if os.path.isfile(path) and listing.is_picture(path):
            once.setdefault((os.path.realpath(os.path.dirname(path)), os.path.basename(path)), path)
    if not once:
        raise UserError(f"no pictures match {images.shown(pattern)}{_near(pattern)}")
    return sorted(once.values(), key=natural_order)


def _expand(pattern: str) -> Iterator[str]:
    """The paths that match a pattern. Unlike `glob`, it takes no folder twice for a `**`, because
    links to each other's folders make more paths than can ever be walked.
    """
    deep = _ANY_DEPTH.fullmatch(pattern)
    if not deep:
        yield from glob.iglob(pattern)
        return
    before, after = deep.groups()
    for top in filter(os.path.isdir, glob.iglob(before)):
        for folder, _ in listing.walk(images.shown(pattern), top):
            yield from _expand(os.path.join(glob.escape(os.path.join(top, folder)), after or "*"))


def _fixed(pattern: str) -> str:
    """The folder that a pattern starts with: all before the first name with `*`, `?` or `[`."""
    folder = os.path.dirname(pattern)
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    return folder


def _near(pattern: str) -> str:
    """ "; did you mean x?" for names near the pattern's folder's or its own, or nothing."""
    folder = _fixed(pattern)
    if folder and not os.path.isdir(folder):
        return f": there is no folder {images.shown(folder)}{images.nearest_files(Path(folder))}"
    return images.nearest_files(Path(pattern)) if folder == os.path.dirname(pattern) else ""
