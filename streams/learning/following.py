"""Following the topics: a training record for every lead, kept on a topic of its own.

Each batch of records is taken in, the training records that changed are written, and
only then is it noted how far was read. Whoever dies in between reads again, and what is
read again changes nothing.
"""

import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from schemas import cloudevents
from schemas.alert import Alert
from schemas.event import Event
from schemas.score import ScoreUpdate
from schemas.time import Instant, to_datetime, to_instant
from schemas.topics import CRM_EVENTS, NOTIFICATIONS, SCORE_UPDATES, TRAINING
from schemas.training import TrainingRecord
from scorers.training import encode_record, with_alert, with_outcome, with_update
from streams.event_log import Record
from streams.kafka_access import client_config
from streams.topic_reader import read_topic

if TYPE_CHECKING:
    from confluent_kafka import Message

    from streams.event_log import EventLog
    from streams.settings import Settings

_BATCH: Final = 1_000
_POLL_SECONDS: Final = 0.2
_FOLLOWED: Final = (SCORE_UPDATES, NOTIFICATIONS, CRM_EVENTS)

_log = structlog.get_logger(__name__)
_decode: Final = msgspec.json.Decoder(TrainingRecord).decode


class TrainingLog:
    """The training records of some partitions, in bytes."""

    def __init__(self, settings: "Settings") -> None:
        """Begin with no record."""
        self._settings = settings
        self._records: dict[str, bytes] = {}
        self._decoders: dict[str, tuple[Any, Callable[..., TrainingRecord]]] = {
            settings.topic(SCORE_UPDATES.name): (
                msgspec.json.Decoder(ScoreUpdate).decode,
                with_update,
            ),
            settings.topic(NOTIFICATIONS.name): (
                msgspec.json.Decoder(Alert).decode,
                with_alert,
            ),
            settings.topic(CRM_EVENTS.name): (
                msgspec.json.Decoder(Event).decode,
                with_outcome,
            ),
        }
        self._updates = settings.topic(SCORE_UPDATES.name)

    def load(self, partitions: Iterable[int]) -> None:
        """Read what was written before for these partitions."""
        topic = self._settings.topic(TRAINING.name)
        wanted = tuple(partitions)
        for message in read_topic(self._settings, topic, only=wanted) if wanted else ():
            lead_id, value = (message.key() or b"").decode(), message.value()
            if value is None:
                self._records.pop(lead_id, None)
            else:
                self._records[lead_id] = value

    def take(self, messages: "Iterable[Message]") -> list[Record]:
        """Return what changes on the topic when these messages are heard of."""
        changed: dict[str, TrainingRecord | None] = {}
        for message in messages:
            topic, key, value = message.topic() or "", message.key(), message.value()
            if key is None:
                continue
            lead_id = key.decode(errors="replace")
            if value is None:
                if topic == self._updates:  # erased: nothing of the lead may stay
                    changed[lead_id] = None
                continue
            decode, heard = self._decoders[topic]
            try:
                told = decode(value)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                _log.warning("training_unreadable", topic=topic, error=str(error))
                continue
            before = changed[lead_id] if lead_id in changed else self._record(lead_id)
            if before is None:
                before = TrainingRecord(lead_id=lead_id)
            after = heard(before, told)
            if after != before:
                changed[lead_id] = after
        return [self._written(lead_id, record) for lead_id, record in changed.items()]

    def _record(self, lead_id: str) -> TrainingRecord:
        known = self._records.get(lead_id)
        return TrainingRecord(lead_id=lead_id) if known is None else _decode(known)

    def _written(self, lead_id: str, record: TrainingRecord | None) -> Record:
        topic, key = self._settings.topic(TRAINING.name), lead_id.encode()
        if record is None:
            self._records.pop(lead_id, None)
            return Record(topic, key, None, [])
        value = self._records[lead_id] = encode_record(record)
        moments = [shot.at for shot in record.snapshots[-1:]]
        headers = cloudevents.headers(
            type=cloudevents.TRAINING,
            source="/learning",
            id=f"{lead_id}:{record.sequence}:{len(record.outcomes)}",
            time=max(moments, default=to_datetime(0)),
        )
        return Record(topic, key, value, [*headers])


async def follow(
    settings: "Settings",
    log: "EventLog",
    *,
    stop: threading.Event,
    once: bool,
    report: Callable[[int, int], None] = lambda _read, _written: None,
) -> int:
    """Keep the training log until `stop`, or `once` up to where the topics end now.

    Returns how many training records were written.
    """
    import asyncio  # noqa: PLC0415 - only here

    from confluent_kafka import Consumer, KafkaError  # noqa: PLC0415 - loads librdkafka

    kept = TrainingLog(settings)
    ended: set[tuple[str, int]] = set()
    owned: set[tuple[str, int]] = set()

    def assigned(_: Any, places: Any) -> None:
        owned.update((place.topic, place.partition) for place in places)
        kept.load({place.partition for place in places})

    consumer = Consumer(
        {
            **client_config(settings),
            "group.id": f"{settings.app_id}.learning",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,
            # The topics of a lead stay together: the same partitions of each.
            "partition.assignment.strategy": "range",
            "session.timeout.ms": 30_000,
        }
    )
    consumer.subscribe(
        [settings.topic(topic.name) for topic in _FOLLOWED],
        on_assign=assigned,
        on_revoke=lambda _, places: owned.difference_update(
            (place.topic, place.partition) for place in places
        ),
    )
    read = written = 0
    try:
        while not stop.is_set() and not (once and owned and owned <= ended):
            found = await asyncio.to_thread(consumer.consume, _BATCH, _POLL_SECONDS)
            good = []
            for message in found:
                error = message.error()
                if error is None:
                    good.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    ended.add((message.topic() or "", message.partition() or 0))
                elif not error.retriable():
                    _log.warning("training_unread", error=error.str())
            if good:
                records = kept.take(good)
                await log.append(records)
                await asyncio.to_thread(consumer.commit, asynchronous=False)
                read += len(good)
                written += len(records)
                report(read, written)
    finally:
        consumer.close()
    return written


def read_training(settings: "Settings") -> dict[str, TrainingRecord]:
    """Return the latest training record of every lead.

    Raises
    ------
    UnreadableTopicError
        When the topic is missing or no broker answers.
    """
    found: dict[str, bytes] = {}
    for message in read_topic(settings, settings.topic(TRAINING.name)):
        lead_id, value = (message.key() or b"").decode(), message.value()
        if value is None:
            found.pop(lead_id, None)
        else:
            found[lead_id] = value
    return {lead_id: _decode(value) for lead_id, value in found.items()}


def last_of(records: Iterable[TrainingRecord]) -> Instant:
    """Return the last instant that records know of."""
    moments: list[datetime] = []
    for record in records:
        moments += [shot.at for shot in (*record.recent, *record.snapshots)]
        moments += [outcome.at for outcome in record.outcomes]
    return max(map(to_instant, moments), default=0)
