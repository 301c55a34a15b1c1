"""Reads the tensors of PyTorch's files (`.pth`, `.pt`) without PyTorch and without running them.

`torch.save` writes a dict of tensors in one of two forms. Since PyTorch 1.6 it is a zip archive
with a pickle, `data.pkl`, and a file for each storage. Before, it was four pickles in a row (a
magic number, the version, the sizes of C's types, the tensors), a fifth with the storages' names,
and the storages. A tensor is a view of a storage: an offset, a shape and strides.
"""

import hashlib
import io
import math
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genjax.cnn import pickles
from genjax.errors import UserError

NORM = ("weight", "bias", "running_mean", "running_var")  # PyTorch's names in a BatchNorm

_MAGIC = 0x1950A86A20F9469CFC6C
# What interpreting a damaged file raises, and what zipfile does of one.
_BROKEN = (
    *(ValueError, LookupError, TypeError, OverflowError, EOFError, OSError),
    *(RuntimeError, struct.error, zipfile.BadZipFile),
)
_TYPES = {
    **{"Float": "<f4", "Double": "<f8", "Half": "<f2"},
    **{"Long": "<i8", "Int": "<i4", "Short": "<i2", "Char": "<i1", "Byte": "<u1", "Bool": "?"},
}


def read(path: str | Path, sha256: str = "") -> dict[str, np.ndarray]:
    """{name: array}: the tensors of a file that holds a state dict.

    Args:
      sha256: what the file's hash begins with; "" for any.

    Raises:
      UserError: the file is missing or broken, holds anything but tensors by name, or is another
        than the one that `sha256` says.
    """
    try:
        data = Path(path).read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if not found.startswith(sha256):
            raise UserError(
                f"weights file {path} has the SHA-256 {found[:16]}…, not {sha256}…: it is another "
                "file, or was cut short; get it again"
            )
        return _read_zip(data) if zipfile.is_zipfile(io.BytesIO(data)) else _read_legacy(data)
    except FileNotFoundError:
        raise UserError(f"weights file {path} does not exist") from None
    except _BROKEN as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"weights file {path} cannot be read: {reason}") from None


class _Storage:
    """A storage that a pickle names; its numbers come later, or from a function."""

    def __init__(self, kind: str, key: str, count: int):
        self.dtype, self.key, self.count = np.dtype(_TYPES[kind]), key, count
        self.numbers: np.ndarray | None = None

    def fill(self, data) -> None:
        """Takes the numbers from the first bytes of `data`."""
        if len(data) < self.count * self.dtype.itemsize:
            raise ValueError("it is cut off")
        self.numbers = np.frombuffer(data, self.dtype, self.count)


class _Tensor:
    def __init__(self, storage, offset, shape, strides, *_):
        sizes = (offset, *shape, *strides)
        if not isinstance(storage, _Storage) or not all(type(x) is int and x >= 0 for x in sizes):
            raise ValueError("a tensor has no storage, or an impossible shape")
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        # No larger than its storage, which is in the file: strides of 0 could make it huge.
        if math.prod(shape) > storage.count or (math.prod(shape) and last >= storage.count):
            raise ValueError("a tensor reaches beyond its storage")
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self) -> np.ndarray:
        """A copy, with the numbers beside each other."""
        numbers = self.storage.numbers[self.offset :]
        strides = [s * numbers.itemsize for s in self.strides]
        return np.lib.stride_tricks.as_strided(numbers, self.shape, strides).copy()


class _Ordered(dict):
    """The stand-in for `collections.OrderedDict`."""

    def build(self, contents):
        """Leaves out attributes of the dict, such as the versions of PyTorch's layers."""


def _rebuild_parameter(tensor, *_):
    return tensor


def _vocabulary(storages: dict[str, _Storage]) -> pickles.Vocabulary:
    kinds = {f"torch {kind}Storage": kind for kind in _TYPES}

    def stored(identifier):
        word, kind, key, _, count, *_ = identifier
        if word != "storage" or kind not in _TYPES or not (type(count) is int and count >= 0):
            raise ValueError("it names what is no storage")
        return storages.setdefault(key, _Storage(kind, key, count))

    names = {
        "collections OrderedDict": _Ordered,
        "torch._utils _rebuild_tensor_v2": _Tensor,
        "torch._utils _rebuild_parameter": _rebuild_parameter,
    }
    return pickles.Vocabulary(names | kinds, tuple(names.values()), stored)


def _read_zip(data: bytes) -> dict[str, np.ndarray]:
    storages: dict[str, _Storage] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if any(x.compress_type != zipfile.ZIP_STORED or x.flag_bits & 1 for x in entries):
            raise ValueError("it is compressed or encrypted, which PyTorch's files are not")
        pickled = [x for x in archive.namelist() if x.endswith("/data.pkl")]
        if len(pickled) != 1:
            raise ValueError("it is no file of PyTorch's")
        root = pickled[0].removesuffix("data.pkl")
        if (
            f"{root}byteorder" in archive.namelist()
            and archive.read(f"{root}byteorder") != b"little"
        ):
            raise ValueError("its numbers have another order of bytes")
        top = pickles.run(archive.read(f"{root}data.pkl"), _vocabulary(storages))
        for key, storage in storages.items():
            storage.fill(archive.read(f"{root}data/{key}"))
    return _tensors(top)


def _read_legacy(data: bytes) -> dict[str, np.ndarray]:
    storages: dict[str, _Storage] = {}
    file, plain = io.BytesIO(data), pickles.Vocabulary({}, ())
    if pickles.run(file, plain) != _MAGIC:
        raise ValueError("it is no file of PyTorch's")
    pickles.run(file, plain)  # the version
    about = pickles.run(file, plain)
    if not (isinstance(about, dict) and about.get("little_endian")):
        raise ValueError("its numbers have another order of bytes")
    top = pickles.run(file, _vocabulary(storages))
    rest = memoryview(data)
    for key in pickles.run(file, plain):
        storage, place = storages[key], file.tell() + 8  # 8 bytes: how many numbers
        if int.from_bytes(rest[place - 8 : place], "little") != storage.count:
            raise ValueError("a storage has another length than its tensors say")
        storage.fill(rest[place:])
        file.seek(place + storage.count * storage.dtype.itemsize)
    return _tensors(top)


def _tensors(top) -> dict[str, np.ndarray]:
    if not isinstance(top, dict):
        raise ValueError("it holds no dict of tensors")
    for name, value in top.items():
        if not isinstance(value, _Tensor) or value.storage.numbers is None:
            raise ValueError(f"{name[:100]!r} is no tensor")
    return {name: tensor.array() for name, tensor in top.items()}


def folded(kernel: np.ndarray, norm: Sequence[np.ndarray], epsilon: float) -> dict[str, np.ndarray]:
    """A trained convolution and the BatchNorm behind it as one convolution with a bias.

    Args:
      kernel: f[Cout, Cin, H, W], as PyTorch has it.
      norm: BatchNorm's `NORM`, f[Cout] each.

    Returns:
      {"kernel": f32[H, W, Cin, Cout], "bias": f32[Cout]}.
    """
    gamma, beta, mean, variance = (x.astype(np.float64) for x in norm)
    scale = gamma / np.sqrt(variance + epsilon)
    return {
        "kernel": (kernel * scale[:, None, None, None]).transpose(2, 3, 1, 0).astype(np.float32),
        "bias": (beta - mean * scale).astype(np.float32),
    }
