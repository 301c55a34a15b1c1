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
