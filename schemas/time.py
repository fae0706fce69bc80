"""Instants on the wire are ISO 8601 UTC; inside they are whole milliseconds.

An ``Instant`` is an integer count of milliseconds since 1970-01-01T00:00:00Z. A
whole number compares, hashes and subtracts exactly, which is what makes a score
the same on every machine and in every order of arrival (ADR 0003).
"""

from datetime import UTC, datetime, timedelta
from typing import Final

Instant = int
"""Milliseconds since the Unix epoch, UTC."""

Millis = int
"""A span of time in milliseconds."""

SECOND: Final[Millis] = 1_000
MINUTE: Final[Millis] = 60 * SECOND
HOUR: Final[Millis] = 60 * MINUTE
DAY: Final[Millis] = 24 * HOUR
WEEK: Final[Millis] = 7 * DAY

EARLIEST: Final[Instant] = 946_684_800_000
"""2000-01-01: what claims to be older comes from a clock that was never set."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def to_instant(moment: datetime) -> Instant:
    """Return `moment` (aware) in milliseconds, microseconds cut off.

    >>> to_instant(datetime(2026, 11, 21, 10, 0, 0, 1999, tzinfo=UTC))
    1795255200001
    """
    # A third of the time that dividing the difference by a millisecond takes.
    since = moment - _EPOCH
    return since.days * DAY + since.seconds * SECOND + since.microseconds // 1_000


def to_datetime(instant: Instant) -> datetime:
    """Return the aware UTC datetime of `instant`.

    >>> to_datetime(1795255200001).isoformat()
    '2026-11-21T10:00:00.001000+00:00'
    """
    return _EPOCH + instant * _MILLISECOND


def to_iso(instant: Instant) -> str:
    """Return `instant` as RFC 3339 text with milliseconds and a ``Z``.

    >>> to_iso(1795255200001)
    '2026-11-21T10:00:00.001Z'
    """
    return to_datetime(instant).isoformat(timespec="milliseconds")[:-6] + "Z"
