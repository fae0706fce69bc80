"""The clients that only some need: told in one line where one is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from streams.errors import UserError


class MissingClientError(UserError):
    """A sink needs a package that is not installed."""

    exit_code = 2


@contextmanager
def needs(extra: str, package: str) -> Iterator[None]:
    """Import within it what `package` has; its absence is told with the way out.

    Raises
    ------
    MissingClientError
        When it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError:
        msg = (
            f"a sink of the kind {extra} needs {package}: "
            f"pip install 'leadpulse[{extra}]'"
        )
        raise MissingClientError(msg) from None
