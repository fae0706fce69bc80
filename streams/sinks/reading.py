"""From records of the topic to rows: who may be written, and what of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from schemas.score import ScoreUpdate
from schemas.time import to_datetime, to_instant
from schemas.topics import SCORE_UPDATES
from schemas.workspace import workspace_of
from streams.sinks.language import Sink
from streams.sinks.rows import Row, Rows
from streams.suppressions import Suppressions
from streams.topic_reader import TopicReader

if TYPE_CHECKING:
    from confluent_kafka import Message

    from streams.settings import Settings

FOREVER: Final = 1 << 62
"""The sequence of a tombstone: nothing comes after it."""

Passed = Literal["no-key", "suppressed", "unreadable", "elsewhere"]
"""Why a record leaves nothing to be written; `elsewhere` is another workspace's."""

_decode: Final = msgspec.json.Decoder(ScoreUpdate).decode


class RowReader:
    """Makes rows of records; knows who was erased."""

    def __init__(self, sink: Sink, known: Suppressions) -> None:
        """Read for `sink`; `known` is the list of who was erased."""
        self._rows = Rows(sink)
        self._workspace = sink.workspace
        self._needs_key = sink.match is not None
        self._known = known

    def read(self, record: "Message") -> Row | Passed:
        """Return what a record says of a lead's record in the CRM."""
        key, value = record.key(), record.value()
        if key is None:
            return "unreadable"
        lead_id = key.decode(errors="replace")
        if workspace_of(lead_id) != self._workspace:
            return "elsewhere"
        if value is None:
            self._forget(lead_id, record)
            return self._rows.gone(lead_id, FOREVER, "erased")
        try:
            update = _decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return "unreadable"
        if self._known.hides(update.lead_id, to_instant(update.as_of)):
            return "suppressed"
        row = self._rows.row(update, value)
        if row.key is None and self._needs_key and not row.clear:
            return "no-key"
        return row

    def _forget(self, lead_id: str, record: "Message") -> None:
        """Write nothing of an erased lead that is still on its way."""
        if self._known.key is not None and len(self._known):
            _, erased = record.timestamp()
            self._known.take_unless_lifted(lead_id, to_datetime(erased))


def latest_rows(settings: "Settings", sink: Sink, known: Suppressions) -> Iterator[Row]:
    """Yield the latest row of every lead as the topic has it now.

    One partition after another, so that only its leads are in memory.

    Raises
    ------
    UnreadableTopicError
        When the topic is missing or no broker answers.
    """
    topic = settings.topic(SCORE_UPDATES.name)
    reader = RowReader(sink, known)
    with TopicReader(settings) as records:
        for partition in sorted(records.partitions(topic)):
            latest: dict[str, Row] = {}
            for record in records.read(topic, only={partition}):
                row = reader.read(record)
                if isinstance(row, str):
                    continue
                before = latest.get(row.lead_id)
                if before is None or row.sequence >= before.sequence or before.clear:
                    latest[row.lead_id] = row
            yield from latest.values()
