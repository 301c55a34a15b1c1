"""The ways a run ends early, and the exit code each one has."""


class UserError(Exception):
    """Something that the user can mend; the message is one line that says what to change."""

    exit_code = 2


class Interrupted(Exception):  # noqa: N818  (a request that was honoured, not an error)
    """The run was asked to stop, has saved its state, and goes on when it is run again."""

    exit_code = 75


class NonFiniteError(Exception):
    """A metric became NaN or infinite: the run stops and the last good checkpoint stays."""

    exit_code = 1


def exit_code(error: Exception) -> int | None:
    """What the process ends with; None for an error that nobody foresaw, which needs a traceback.

    Running out of memory is for the user to mend, whoever notices it: the device's allocator (its
    error begins with RESOURCE_EXHAUSTED) or Python.
    """
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return UserError.exit_code
    return getattr(error, "exit_code", None)


def one_line(error: Exception) -> str:
    """The line for stderr."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text:
        return (
            "error: out of memory; make train.batch_size, the picture size or the network smaller "
            f"({text[:200] or 'no more from Python'})"
        )
    return text if isinstance(error, Interrupted) else f"error: {text}"
