"""The ways in which a run ends early, and the exit code of each."""

import argparse
import errno
import os
import re
import sys
from collections.abc import Callable

# What helps where a network or its pictures do not fit into memory.
LESS_MEMORY = "lower train.batch_size, data.size (of a style run: size) or the network's width"


class UserError(Exception):
    """An error that the user can mend; the message is one line that says what to change."""

    exit_code = 2


class OptionParser(argparse.ArgumentParser):
    """A parser of command-line options that raises UserError for a wrong one, instead of exiting.

    Names may not be shortened, and `--help` is left to the program.
    """

    def __init__(self, **options):
        super().__init__(add_help=False, allow_abbrev=False, **options)

    def error(self, message):
        raise UserError(f"{message} (see --help)")


class Interrupted(Exception):  # noqa: N818  (a request that was honoured, not an error)
    """The run was asked to stop and has saved its state; it goes on when it is started again."""

    exit_code = 75


class NonFiniteError(Exception):
    """A metric became NaN or infinite: the run stops and the last good checkpoint stays."""

    exit_code = 1


# What the user can do when the operating system refuses a path. Missing files (ENOENT) are not
# here: where one can be the user's fault, the code raises a UserError; elsewhere it is a defect.
_ADVICE = {
    errno.EACCES: "change its permissions, or choose another place",
    errno.EPERM: "change its permissions, or choose another place",
    errno.EROFS: "choose another place",
    errno.EEXIST: "a folder is needed there: choose another place",
    errno.ENOTDIR: "a folder is needed there: choose another place",
    errno.EISDIR: "a file is needed there: choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room on the disk",
}


# TensorStore, which writes the checkpoints, has the system's error number only in its message, in
# words that differ between versions. The first path in quotes is the file.
_NUMBER_IN_TEXT = re.compile(r"os_error_code='(\d+)'|OS error (\d+)")
_PLACE_IN_TEXT = re.compile(r'"([^"]+)"')


def exit_code(error: BaseException) -> int | None:
    """The exit code for an error; None for an unforeseen one, which needs a traceback.

    The user can mend a lack of memory or of disk space, whoever reports it: the device's allocator,
    Python, the file system, or the library that writes checkpoints.
    """
    if advice(error) or _is_out_of_memory(error):
        return UserError.exit_code
    if isinstance(error, KeyboardInterrupt):  # outside the training loop, which handles it
        return Interrupted.exit_code
    return getattr(error, "exit_code", None)


def one_line(error: BaseException) -> str:
    """The error as a line for stderr; unprintable characters, as of a file's name, are escaped."""
    text = " ".join(str(error).split())
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    if advice(error):
        number, place = _refusal(error)
        return f"error: {place}{': ' if place else ''}{os.strerror(number)}; {advice(error)}"
    if _is_out_of_memory(error):
        return f"error: out of memory; {LESS_MEMORY} ({text[:200] or 'no more from Python'})"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted with nothing under way to save: run the same command to start again"
    return text if isinstance(error, Interrupted) else f"error: {text}"


def run_program(argv: list[str], usage: str, program: Callable[[list[str]], int | None]) -> int:
    """Runs `program(argv)` and returns its exit code, 0 for None.

    With `--help`, `usage` is printed instead. Errors are told in one line (see `tell`).
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what a terminal cannot print is no reason to end
            stream.reconfigure(errors="backslashreplace")
    if {"--help", "-help", "-h"} & set(argv):
        print(usage)
        return 0
    try:
        return program(argv) or 0
    except (Exception, KeyboardInterrupt) as error:
        return tell(error)


def tell(error: BaseException) -> int:
    """Prints the error's line on stderr and returns its exit code; raises an unforeseen error."""
    code = exit_code(error)
    if code is None:
        raise error
    print(one_line(error), file=sys.stderr)
    return code


def advice(error: BaseException) -> str | None:
    """What the user can do when the system refused a path; None for any other error."""
    return _ADVICE.get(_refusal(error)[0])


def _refusal(error: BaseException) -> tuple[int | None, str]:
    """(the system's number of an error, or None if it has none; the path, or "")."""
    if isinstance(error, OSError):
        return error.errno, "" if error.filename is None else os.fspath(error.filename)
    if isinstance(error, UserError) or not (found := _NUMBER_IN_TEXT.search(str(error))):
        return None, ""
    place = _PLACE_IN_TEXT.search(str(error))
    return int(found[1] or found[2]), place[1] if place else ""


def _is_out_of_memory(error: BaseException) -> bool:
    # XLA's errors have one of these texts. On CPUs an allocation that fails after dispatch has the
    # code INTERNAL instead of RESOURCE_EXHAUSTED.
    says_so = any(words in str(error) for words in ("RESOURCE_EXHAUSTED", "Out of memory"))
    return isinstance(error, MemoryError) or says_so
