"""The root of every error that the person at the terminal can do something about."""

from typing import ClassVar


class UserError(Exception):
    """Something to be told in one line, without a stack trace.

    The command line prints the text on standard error and leaves with `exit_code`.
    """

    exit_code: ClassVar[int] = 1
    """1 for a failure or findings, 2 for wrong usage or a wrong setting."""
