"""Following the topics: a training record for every lead, kept on a topic of its own.

Each batch of records is taken in, the training records that changed are written, and
only then is it noted how far was read. Whoever dies in between reads again, and what is
read again changes nothing.
"""

import asyncio
import logging
import threading
import time
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
from scorers.training import encode_record, with_alert, with_event, with_update
from streams import metrics
from streams.event_log import NotDurableError, Record
from streams.kafka_access import client_config
from streams.topic_reader import read_topic

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

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
                with_event,
            ),
        }
        self._updates = settings.topic(SCORE_UPDATES.name)

    def __len__(self) -> int:
        """Return of how many leads there is a record."""
        return len(self._records)

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


class Following:
    """Keeps the training log; others may ask meanwhile how it goes."""

    def __init__(self, settings: "Settings", log: "EventLog") -> None:
        """Write to `log`; nothing is read before `run`."""
        self._settings = settings
        self._log = log
        self._kept = TrainingLog(settings)
        self._ended: set[tuple[str, int]] = set()
        self._owned: set[tuple[str, int]] = set()
        self._is_member = False
        self._undelivered_since: float | None = None

    def not_ready(self) -> str | None:
        """Return why nothing is being learnt just now; from other threads, too."""
        if not self._is_member:
            return "waiting for partitions"
        since = self._undelivered_since
        if since is not None:
            waited = time.monotonic() - since
            return f"Kafka has taken nothing for {waited:.0f} s"
        return None

    async def run(
        self,
        *,
        stop: threading.Event,
        once: bool,
        report: Callable[[int, int], None] = lambda _read, _written: None,
    ) -> int:
        """Keep the training log until `stop`, or `once` up to where the topics end now.

        What Kafka does not take is tried again until it does. Returns how many
        training records were written.
        """
        consumer = self._subscribed()
        read = written = 0
        try:
            while not stop.is_set() and not (once and self._is_at_the_end):
                found = await asyncio.to_thread(consumer.consume, _BATCH, _POLL_SECONDS)
                good = [message for message in found if self._is_good(message)]
                if not good:
                    continue
                records = self._kept.take(good)
                if not await self._write(records, stop):
                    break  # read again by whoever goes on
                await asyncio.to_thread(consumer.commit, asynchronous=False)
                read += len(good)
                written += len(records)
                metrics.TRAINING_READ.inc(len(good))
                metrics.TRAINING_WRITTEN.inc(len(records))
                metrics.TRAINING_LEADS.set(len(self._kept))
                report(read, written)
        finally:
            await asyncio.to_thread(consumer.close)
        return written

    @property
    def _is_at_the_end(self) -> bool:
        return bool(self._owned) and self._owned <= self._ended

    def _subscribed(self) -> "Consumer":
        from confluent_kafka import Consumer  # noqa: PLC0415 - loads librdkafka

        settings = self._settings
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
                "session.timeout.ms": round(settings.session_seconds * 1000),
                "heartbeat.interval.ms": round(settings.session_seconds * 150),
            },
            logger=logging.getLogger("kafka"),
        )
        consumer.subscribe(
            [settings.topic(topic.name) for topic in _FOLLOWED],
            on_assign=self._assigned,
            on_revoke=self._revoked,
        )
        return consumer

    def _assigned(self, _: Any, places: Any) -> None:
        self._owned.update((place.topic, place.partition) for place in places)
        self._kept.load({place.partition for place in places})
        metrics.TRAINING_LEADS.set(len(self._kept))
        self._is_member = True

    def _revoked(self, _: Any, places: Any) -> None:
        self._owned.difference_update(
            (place.topic, place.partition) for place in places
        )
        self._is_member = False

    def _is_good(self, message: "Message") -> bool:
        from confluent_kafka import KafkaError  # noqa: PLC0415 - loads librdkafka

        error = message.error()
        if error is None:
            return True
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - no other name
            self._ended.add((message.topic() or "", message.partition() or 0))
        elif not error.retriable():
            _log.warning("training_unread", error=error.str())
        return False

    async def _write(self, records: list[Record], stop: threading.Event) -> bool:
        """Return whether `records` are durable; False only when told to stop."""
        while True:
            try:
                await self._log.append(records)
            except NotDurableError as error:
                metrics.TRAINING_FAILURES.inc()
                _log.warning("training_not_written", error=str(error))
                self._undelivered_since = self._undelivered_since or time.monotonic()
                if await asyncio.to_thread(stop.wait, error.retry_seconds):
                    return False
            else:
                self._undelivered_since = None
                return True


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
