"""The root of every error that the person at the terminal can do something about."""

from typing import ClassVar


class UserError(Exception):
    """Something to be told in one line, without a stack trace.

    The command line prints the text on standard error and leaves with `exit_code`.
    """

    exit_code: ClassVar[int] = 1
    """1 for a failure or findings, 2 for wrong usage or a wrong setting."""


class PortUnusableError(UserError):
    """A server cannot listen where it was told to."""

    exit_code = 2

    def __init__(
        self, *, host: str, port: int, purpose: str, setting: str, error: OSError
    ) -> None:
        """Name the address, what it was for, what changes it and what is wrong."""
        # `socket.create_server` adds the address, which is told here already.
        why = (error.strerror or str(error)).partition(" (while")[0]
        super().__init__(
            f"cannot listen on {host}:{port} for {purpose}: {why}; "
            f"{setting} changes the port (0 picks a free one)"
        )
