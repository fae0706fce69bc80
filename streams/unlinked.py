"""Identifiers that never make two leads one: how a wrong merge is taken apart."""

from pathlib import Path

from scorers.identity import KINDS, is_lead_id, lead_id_of, normalise
from streams.errors import UserError


class UnlinkedFileError(UserError):
    """The file cannot be read; the text says which and why."""


def read_unlinked(path: Path | None) -> frozenset[str]:
    """Return the leads of the identifiers in `path`, one a line; none without a file.

    A lead id may stand for them: in a workspace it must. Empty lines and what follows
    a # at the start of a line do not count.

    Raises
    ------
    UnlinkedFileError
        When the file cannot be read.
    """
    if path is None:
        return frozenset()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        msg = f"cannot read the identifiers that never link from {path}: {error}"
        raise UnlinkedFileError(msg) from None
    names = [line.strip() for line in lines]
    return frozenset(
        lead_id
        for name in names
        if name and not name.startswith("#")
        for lead_id in _leads_of(name)
    )


def _leads_of(name: str) -> list[str]:
    """Return the lead that a line names by its id, or by any identifier."""
    if is_lead_id(name):
        return [name]
    return [lead_id_of(kind, normalise(kind, name)) for kind in KINDS]
