"""Interprets pickles of arrays without running code that they may contain.

A pickle is a program. The published weights that pip packages and PyTorch's files carry are
pickles, so they are interpreted here instead of by Python's `pickle`. This interpreter knows the
two dozen instructions that nested dicts of arrays need, cannot import or call anything of Python,
NumPy or PyTorch, and reserves no more memory than the file fills. Whatever a pickle asks for by
name is a stand-in of the vocabulary that its reader gives.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

_LITERALS = {
    *("BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("BININT", "BININT1", "BININT2", "LONG1"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


class Vocabulary(NamedTuple):
    """What a pickle may name.

    Attributes:
      names: {"module name": what stands for it}.
      makers: those of them that it may call. What it makes may have `build`, a method that takes
        the contents that a pickle gives to an object.
      persistent: makes of an identifier what is stored outside of the pickle; None if nothing is.
    """

    names: Mapping[str, Any]
    makers: tuple[Callable, ...]
    persistent: Callable[[Any], Any] | None = None


def run(pickled: bytes | BinaryIO, vocabulary: Vocabulary):
    """Interprets a pickle and returns the object that it leaves on the stack.

    Dicts must have texts as keys and occur in one place only, so that they form a tree. Nothing
    larger than the file is ever hashed, compared or copied. Of a file, what follows the pickle is
    left to be read.

    Raises:
      ValueError, LookupError, TypeError: it is broken, or asks for what is not in the vocabulary.
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
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "APPENDS":
            items = since_mark()
            if not isinstance(stack[-1], list):
                raise ValueError("it appends to what is no list")
            stack[-1].extend(items)
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
            stack.append(_named(argument, vocabulary))
        elif name == "STACK_GLOBAL":
            stack[-2:] = [_named(" ".join(stack[-2:]), vocabulary)]
        elif name == "BINPERSID" and vocabulary.persistent:
            stack.append(vocabulary.persistent(stack.pop()))
        elif name == "REDUCE":
            arguments, maker = stack.pop(), stack.pop()
            if maker not in vocabulary.makers:
                raise ValueError("it calls what is no array")
            stack.append(maker(*arguments))
        elif name == "BUILD":
            contents = stack.pop()
            if type(stack[-1]) not in vocabulary.makers:
                raise ValueError("it gives contents to what is no array")
            stack[-1].build(contents)
        elif name in ("SETITEM", "SETITEMS"):
            pairs = since_mark() if name == "SETITEMS" else [stack.pop() for _ in "12"][::-1]
            _fill(stack[-1], pairs)
        elif name == "STOP":
            (top,) = stack
            return top
        elif name not in ("PROTO", "FRAME"):  # these two need no action
            raise ValueError(f"it has the instruction {name}, which arrays do not need")


def _named(name: str, vocabulary: Vocabulary):
    if name not in vocabulary.names:
        raise ValueError(f"it asks for {name.replace(' ', '.')}, which is no array")
    return vocabulary.names[name]


def _fill(target, pairs: list) -> None:
    keys, values = pairs[::2], pairs[1::2]
    if not isinstance(target, dict) or not all(isinstance(key, str) for key in keys):
        raise ValueError("it is no dict with texts as keys")
    target.update(zip(keys, values, strict=True))
