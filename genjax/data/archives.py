"""Reads `.npz` files from untrusted sources.

NumPy trusts what a file declares: it reserves as much memory as a header asks for, and inflates
until the data end. Here the zip directory and the headers have to agree, and the total size has to
be reasonable, before memory is reserved. Nothing is unpacked to disk: a member's name, even if it
is absolute or contains `..`, is only used as the key of a dict.
"""

import io
import math
import os
import zipfile
from pathlib import Path

import numpy as np
from etils import epath
from numpy.lib import format as npy

from genjax.errors import UserError
from genjax.images import nearest_files

# How many times its own size a file may inflate to. Deflate's limit is 1032, for constant data;
# real data sets stay far below: black-and-white sprites, the most compressible ones, reach 115.
_MAX_RATIO = 200

# Bytes to which a file of any size may inflate, whatever the ratio.
_HARMLESS = 2**28

# NumPy's own limit for the length of an array's header; a longer one could exhaust its parser.
_MAX_HEADER = 10_000

# Kinds of types that refer to no objects: booleans, integers, floats, complex numbers and texts.
_PLAIN_KINDS = "biufcSU"

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npz(path: str, what: str) -> dict[str, np.ndarray]:
    """{name: array} of a `.npz` file.

    Args:
      path: the file.
      what: what error messages call the file, such as "weights file PATH".

    Raises:
      UserError: there is no such file, it is damaged, encrypted, a single array, holds Python
        objects or a name twice, or inflates to over 200 times its size or more than the memory of
        this machine.
    """
    try:
        file = epath.Path(path)
        if not file.is_file():
            raise UserError(f"{what} does not exist{nearest_files(Path(file))}")
        with file.open("rb") as opened:
            return _read(opened)
    except UserError:
        raise
    except _NpzError as error:
        reason = str(error)
    except OSError as error:
        reason = error.strerror or "it is damaged"
    except MemoryError:
        reason = "it needs more memory than there is"
    except Exception:  # on damaged bytes, zipfile and NumPy raise a dozen undocumented kinds
        # NumPy's own messages are not shown: some advise to load the file unsafely.
        reason = "it is cut off or damaged"
    raise UserError(f"{what} is not a readable .npz of arrays: {reason}")


class _NpzError(Exception):
    """The file is refused; the message says why."""


def _read(file) -> dict[str, np.ndarray]:
    if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
        raise _NpzError("it is a single array; write it with numpy.savez, which gives it a name")
    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        _check_sizes(members, size)
        keys = [member.filename.removesuffix(".npy") for member in members]
        if not all(key.isprintable() for key in keys):
            raise _NpzError("the name of an array has characters that cannot be printed")
        if len(set(keys)) < len(keys):
            raise _NpzError("two arrays have one name")
        for key, member in zip(keys, members, strict=True):
            _check_member(archive, member, key)
        return {key: _array(archive, member) for key, member in zip(keys, members, strict=True)}


def _check_sizes(members: list[zipfile.ZipInfo], size: int) -> None:
    """Checks the sizes that the members declare against the file's size and the memory."""
    inflated = sum(member.file_size for member in members)
    if sum(member.compress_size for member in members) > size:
        raise _NpzError("its arrays overlap, or it is cut off")
    if inflated > max(_HARMLESS, _MAX_RATIO * size):
        raise _NpzError(
            f"its {size} bytes inflate to {inflated}, over {_MAX_RATIO} times as many: if that is"
            " meant, write it with numpy.savez, uncompressed"
        )
    memory = _memory()
    if inflated > memory:
        raise _NpzError(f"its arrays take {inflated} bytes of memory, this machine has {memory}")


def _memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, key: str) -> None:
    """Checks that an array's header declares a plain type and the size in the zip directory."""
    if member.flag_bits & 1:
        raise _NpzError(f"{key} is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _NpzError(f"{key} is compressed in a way that NumPy does not write")
    with archive.open(member) as opened:
        start = io.BytesIO(opened.read(_MAX_HEADER))
    version = npy.read_magic(start)
    if version not in _HEADERS:
        raise _NpzError(f"{key} is of version {version} of the format, not 1 or 2")
    shape, _, dtype = _HEADERS[version](start, max_header_size=_MAX_HEADER)
    if dtype.hasobject:
        raise _NpzError(f"{key} holds Python objects")
    if dtype.kind not in _PLAIN_KINDS or not dtype.itemsize:
        raise _NpzError(f"{key} has the type {dtype}, which is no plain number or text")
    declared = start.tell() + math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or declared != member.file_size:
        raise _NpzError(f"{key} declares {declared} bytes and has {member.file_size}")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as opened:
        return npy.read_array(opened, allow_pickle=False)
