"""The ways a run ends early, and the exit code each one has."""

import argparse
import errno
import os
import re
import sys


class UserError(Exception):
    """Something that the user can mend; the message is one line that says what to change."""

    exit_code = 2


class OptionParser(argparse.ArgumentParser):
    """Command-line options, of which a wrong one is a UserError and not argparse's own exit.

    Names may not be shortened, and `--help` is left to the program.
    """

    def __init__(self, **options):
        super().__init__(add_help=False, allow_abbrev=False, **options)

    def error(self, message):
        raise UserError(f"{message} (see --help)")


class Interrupted(Exception):  # noqa: N818  (a request that was honoured, not an error)
    """The run was asked to stop, has saved its state, and goes on when it is run again."""

    exit_code = 75


class NonFiniteError(Exception):
    """A metric became NaN or infinite: the run stops and the last good checkpoint stays."""

    exit_code = 1


# What to do where the system refuses a place. A file that is missing is not among them: who expects
# one to be there says so with a UserError, and elsewhere it is a fault of the program.
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


# TensorStore, which writes the checkpoints, has the system's number in the text only; between its
# versions the words differ. The first path in quotes is the file.
_NUMBER_IN_TEXT = re.compile(r"os_error_code='(\d+)'|OS error (\d+)")
_PLACE_IN_TEXT = re.compile(r'"([^"]+)"')


def exit_code(error: BaseException) -> int | None:
    """What the process ends with; None for an error that nobody foresaw, which needs a traceback.

    Running out of memory or of disk is for the user to mend, whoever notices it: the device's
    allocator, Python, the file system, or the library that writes checkpoints.
    """
    if advice(error) or _is_out_of_memory(error):
        return UserError.exit_code
    if isinstance(error, KeyboardInterrupt):  # outside the loop, which would have honoured it
        return Interrupted.exit_code
    return getattr(error, "exit_code", None)


def one_line(error: BaseException) -> str:
    """The line for stderr, of printable characters only: a file's name may hold any."""
    text = " ".join(str(error).split())
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    if advice(error):
        number, place = _refusal(error)
        return f"error: {place}{': ' if place else ''}{os.strerror(number)}; {advice(error)}"
    if _is_out_of_memory(error):
        return (
            "error: out of memory; make train.batch_size, the picture size or the network smaller "
            f"({text[:200] or 'no more from Python'})"
        )
    if isinstance(error, KeyboardInterrupt):
        return "interrupted with nothing under way to save: run the same command to start again"
    return text if isinstance(error, Interrupted) else f"error: {text}"


def tell(error: BaseException) -> int:
    """Prints the line on stderr and returns the exit code; raises what nobody foresaw."""
    code = exit_code(error)
    if code is None:
        raise error
    print(one_line(error), file=sys.stderr)
    return code


def advice(error: BaseException) -> str | None:
    """What the user can do where the system refused a place; None for any other error."""
    return _ADVICE.get(_refusal(error)[0])


def _refusal(error: BaseException) -> tuple[int | None, str]:
    """The system's number of an error, None where it is not the system's, and the place or ""."""
    if isinstance(error, OSError):
        return error.errno, "" if error.filename is None else os.fspath(error.filename)
    if isinstance(error, UserError) or not (found := _NUMBER_IN_TEXT.search(str(error))):
        return None, ""
    place = _PLACE_IN_TEXT.search(str(error))
    return int(found[1] or found[2]), place[1] if place else ""


def _is_out_of_memory(error: BaseException) -> bool:
    # XLA says the one or the other: an allocation that fails after dispatch is INTERNAL on CPUs.
    says_so = any(words in str(error) for words in ("RESOURCE_EXHAUSTED", "Out of memory"))
    return isinstance(error, MemoryError) or says_so
