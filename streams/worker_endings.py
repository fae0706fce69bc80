"""How workers ended when they had to: kept on disk, for their metrics end with them.

The next start counts it, so an alert can see what a process that leaves at once, and
is started again and again, would never show.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

import msgspec
import structlog

from schemas.time import to_datetime
from streams import metrics
from streams.clock import SystemClock
from streams.dead_letters import TooManyDeadLettersError
from streams.event_log import NotDurableError
from streams.state_records import ChangelogError
from streams.transport.progress import LogWentBackError

if TYPE_CHECKING:
    from streams.settings import Settings

Reason = Literal["dead-letters", "not-durable", "unreadable-state", "topic", "other"]
"""Why a worker left with 1.

dead-letters
    Most records could not be processed: the line is stopped.
not-durable
    Kafka took nothing for a minute.
unreadable-state
    A state cannot be read by this version.
topic
    A topic was truncated or made anew.
other
    Anything else: a bug.
"""

_REASONS: Final[Mapping[type[BaseException], Reason]] = {
    TooManyDeadLettersError: "dead-letters",
    NotDurableError: "not-durable",
    ChangelogError: "unreadable-state",
    LogWentBackError: "topic",
}
_NAME: Final = "worker-endings.json"
_log = structlog.get_logger(__name__)


class Endings(msgspec.Struct, kw_only=True):
    """What is kept of the workers of a data directory."""

    counts: dict[str, int] = {}
    last: Reason | None = None
    at: datetime | None = None


def read_endings(directory: Path) -> Endings:
    """Return what is kept in a data directory; nothing if that cannot be read."""
    try:
        return msgspec.json.decode((directory / _NAME).read_bytes(), type=Endings)
    except (OSError, msgspec.DecodeError):
        return Endings()


def note_ending(settings: "Settings", error: BaseException) -> None:
    """Keep why a worker has to end, for the next one to count."""
    reason = next((r for kind, r in _REASONS.items() if isinstance(error, kind)), None)
    known = read_endings(settings.data_dir)
    known.last, known.at = reason or "other", to_datetime(SystemClock().now())
    known.counts[known.last] = known.counts.get(known.last, 0) + 1
    place = settings.data_dir / _NAME
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_suffix(".part")
        fresh.write_bytes(msgspec.json.encode(known))
        fresh.replace(place)
    except OSError as failure:
        _log.warning("ending_not_kept", error=failure.strerror)


def count_endings(settings: "Settings") -> None:
    """Let the metrics begin where those of the workers before have ended."""
    counts = read_endings(settings.data_dir).counts
    for reason in get_args(Reason):
        metrics.WORKER_ENDINGS.labels(reason).inc(counts.get(reason, 0))
