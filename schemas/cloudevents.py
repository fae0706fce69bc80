"""CloudEvents 1.0 in Kafka's binary mode: the envelope lives in the headers.

The value on the topic stays plain JSON, so a consumer that has never heard of
CloudEvents reads it as it is; one that has gets id, type, source and time without
parsing the value (CloudEvents Kafka protocol binding 1.0, section 3.2).
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from schemas.time import to_instant, to_iso

SPEC_VERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/json"

HEADER_SPEC_VERSION: Final = "ce_specversion"
HEADER_ID: Final = "ce_id"
HEADER_SOURCE: Final = "ce_source"
HEADER_TYPE: Final = "ce_type"
HEADER_TIME: Final = "ce_time"
HEADER_CONTENT_TYPE: Final = "content-type"
HEADERS: Final = (
    HEADER_SPEC_VERSION,
    HEADER_ID,
    HEADER_SOURCE,
    HEADER_TYPE,
    HEADER_TIME,
    HEADER_CONTENT_TYPE,
)

EVENT: Final = "leadpulse.event.v1"
COMMAND: Final = "leadpulse.command.v1"
SCORE_UPDATE: Final = "leadpulse.score-update.v1"
MODEL_VERSION: Final = "leadpulse.model-version.v1"
ALERT: Final = "leadpulse.alert.v1"
DELIVERY: Final = "leadpulse.delivery.v1"
ACCOUNT_COMMAND: Final = "leadpulse.account-command.v1"
ACCOUNT_SCORE: Final = "leadpulse.account-score.v1"
SUPPRESSION: Final = "leadpulse.suppression.v1"
AUDIT: Final = "leadpulse.audit.v1"
TRAINING: Final = "leadpulse.training.v1"

_SPEC_VERSION: Final = (HEADER_SPEC_VERSION, SPEC_VERSION.encode())
_CONTENT_TYPE: Final = (HEADER_CONTENT_TYPE, CONTENT_TYPE.encode())


def headers(
    *, type: str, source: str, id: str, time: datetime
) -> list[tuple[str, bytes]]:
    """Return the headers that make a record a CloudEvent.

    `type` is one of this module's names; `source` is a URI reference such as
    ``/collector/segment``; `source` and `id` together name the event, so a repeated
    delivery must repeat both. `time` must be aware; it is cut to milliseconds.

    >>> from datetime import UTC
    >>> at = datetime(2026, 11, 21, 10, tzinfo=UTC)
    >>> dict(headers(type=ALERT, source="/scoring", id="a-1", time=at))["ce_time"]
    b'2026-11-21T10:00:00.000Z'
    """
    return [
        _SPEC_VERSION,
        (HEADER_ID, id.encode()),
        _header(HEADER_SOURCE, source),
        _header(HEADER_TYPE, type),
        (HEADER_TIME, _iso(time).encode()),
        _CONTENT_TYPE,
    ]


@lru_cache(maxsize=256)
def _header(name: str, value: str) -> tuple[str, bytes]:
    """Return a header; nearly all records have one of few of these."""
    return name, value.encode()


def _iso(time: datetime) -> str:
    """Return `time` as `to_iso` writes it."""
    if time.tzinfo is UTC:
        return time.isoformat(timespec="milliseconds")[:-6] + "Z"
    return to_iso(to_instant(time))
