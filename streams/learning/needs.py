"""What learning needs beside the rest: said in one line where it is missing."""

from importlib.util import find_spec
from typing import Final

from streams.errors import UserError

_NEEDED: Final = ("matplotlib", "numpy", "pyarrow", "river", "scipy", "sklearn")


class LearningMissingError(UserError):
    """The libraries of the extra `learn` are not installed."""


def need_learning() -> None:
    """Return when what learning needs is installed.

    Raises
    ------
    LearningMissingError
        When something is missing; the text says what installs it.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        msg = f"{', '.join(missing)} is missing; run: pip install 'leadpulse[learn]'"
        raise LearningMissingError(msg)
