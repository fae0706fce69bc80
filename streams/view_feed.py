"""The view's feed: carries what the topics say into the Redis view.

A role of its own with its own consumer group: a slow or absent Redis delays the
view and nothing else. Every record reaches the view at least once, and the view
takes each once (`streams.view`).
"""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from redis.backoff import ExponentialWithJitterBackoff

from schemas.account import AccountScore
from schemas.alert import Alert
from schemas.event import Event
from schemas.score import ScoreUpdate
from schemas.time import to_datetime, to_instant
from schemas.topics import (
    ACCOUNT_SCORES,
    EVENT_TOPICS,
    NOTIFICATIONS,
    SCORE_UPDATES,
)
from streams import metrics
from streams.clock import Clock
from streams.kafka_access import assign_to_read, client_config
from streams.settings import Settings
from streams.suppression_feed import follow_suppressions, load_suppressions
from streams.suppressions import Suppressions
from streams.view import Change, Erased, Position, View, ViewAwayError

TOPICS: Final = (SCORE_UPDATES, ACCOUNT_SCORES, NOTIFICATIONS, *EVENT_TOPICS)

_BATCH: Final = 1_000
_POLL_SECONDS: Final = 0.25
_STUCK_SECONDS: Final = 60.0
"""Longer than Redis may take to answer, and to be tried again."""

_log = structlog.get_logger(__name__)

Decode = Callable[[bytes], ScoreUpdate | AccountScore | Alert | Event]


class ViewFeed:
    """Reads the topics and keeps the view up to date, batch by batch."""

    def __init__(self, settings: Settings, view: View, clock: Clock) -> None:
        """Join the consumer group ``<app id>.view``; nothing is read before `run`."""
        self._settings = settings
        self._suppressions = Suppressions(settings)
        self._view = view
        self._clock = clock
        self._build = ""
        self._turned_at = time.monotonic()
        self._failing = False
        self._may_write = False
        self._away = ExponentialWithJitterBackoff(cap=5.0, base=0.1)
        self._decoders: dict[str, Decode] = {
            settings.topic(SCORE_UPDATES.name): msgspec.json.Decoder(
                ScoreUpdate
            ).decode,
            settings.topic(ACCOUNT_SCORES.name): msgspec.json.Decoder(
                AccountScore
            ).decode,
            settings.topic(NOTIFICATIONS.name): msgspec.json.Decoder(Alert).decode,
        }
        event = msgspec.json.Decoder(Event).decode
        for topic in EVENT_TOPICS:
            self._decoders[settings.topic(topic.name)] = event
        self._updates = settings.topic(SCORE_UPDATES.name)
        self._consumer = Consumer(
            {
                **client_config(settings),
                "group.id": f"{settings.app_id}.view",
                # The view's own positions decide where reading goes on; what the
                # group stores is for the operator's lag graphs.
                "auto.offset.reset": "earliest",
                "enable.auto.offset.store": False,
                "auto.commit.interval.ms": 1_000,
                "session.timeout.ms": 6_000,
                "heartbeat.interval.ms": 1_000,
                "fetch.wait.max.ms": 50,
                "topic.metadata.refresh.interval.ms": 10_000,
                "allow.auto.create.topics": False,
            },
            logger=_client_log,
        )

    def run(self, stop: threading.Event) -> None:
        """Feed the view until `stop` is set, then leave the group in good order."""
        self._suppressions = load_suppressions(self._settings)
        follow_suppressions(self._settings, self._suppressions, stop)
        self._consumer.subscribe(list(self._decoders), on_assign=self._assigned)
        try:
            while not stop.is_set():
                self._turned_at = time.monotonic()
                if batch := self._take(_POLL_SECONDS):
                    self._deliver(batch, stop)
        finally:
            self._consumer.close()

    def stuck(self) -> str | None:
        """Return why only a new start can help, None if nothing says so."""
        silent = time.monotonic() - self._turned_at
        return f"stuck for {silent:.0f} s" if silent > _STUCK_SECONDS else None

    def not_ready(self) -> str | None:
        """Return why the view is not being fed just now, None if it is."""
        return "Redis does not answer; the view waits" if self._failing else None

    def _take(self, seconds: float) -> list[Message]:
        """Return the records at hand; wait up to `seconds` for the first only."""
        first = self._consumer.poll(seconds)
        if first is None:
            return []
        return [first, *self._consumer.consume(_BATCH - 1, timeout=0)]

    def _deliver(self, batch: list[Message], stop: threading.Event) -> None:
        """Write `batch` into the view, however long Redis stays away."""
        failures = 0
        while not stop.is_set():
            records = [record for record in batch if _is_record(record)]
            if not records:
                return
            positions = _positions(records)
            try:
                self._see_rights()
                current = self._view.write(
                    self._build, self._changes(records), positions
                )
            except ViewAwayError as error:
                failures += 1
                self._may_write = False
                self._failing, self._turned_at = True, time.monotonic()
                metrics.VIEW_FAILURES.inc()
                if failures == 1:
                    _log.warning("view_away", error=str(error))
                batch += self._wait(self._away.compute(failures))
            else:
                self._failing = False
                if failures:
                    _log.info("view_back", failures=failures)
                    self._consumer.resume(self._consumer.assignment())
                if current:
                    self._note(records, positions)
                else:
                    _log.warning("view_lost", detail="filling it again")
                    self._begin_again()
                return

    def _see_rights(self) -> None:
        """Try every right before writing: half a script would be written otherwise."""
        if not self._may_write:
            self._view.try_rights()
            self._may_write = True

    def _wait(self, seconds: float) -> list[Message]:
        """Stay in the group for `seconds` without reading on.

        A partition assigned meanwhile may still hand over a record: it is returned.
        """
        self._consumer.pause(self._consumer.assignment())
        record = self._consumer.poll(seconds)
        return [] if record is None else [record]

    def _note(self, records: list[Message], positions: dict[Position, int]) -> None:
        """Count what the view has and tell the group how far it is."""
        for record in records:
            metrics.VIEW_RECORDS.labels(topic=record.topic()).inc()
        _, written = records[-1].timestamp()
        metrics.VIEW_LAG.set(self._clock.seconds_since(written))
        assigned = {
            (each.topic, each.partition) for each in self._consumer.assignment()
        }
        self._consumer.store_offsets(
            offsets=[
                TopicPartition(topic, partition, offset)
                for (topic, partition), offset in positions.items()
                if (topic, partition) in assigned
            ]
        )

    def _changes(self, records: Iterable[Message]) -> list[Change]:
        changes: list[Change] = []
        for record in records:
            topic, raw, key = record.topic() or "", record.value(), record.key()
            if raw is None:
                if topic == self._updates and key is not None:
                    changes.append(Change(Erased(key.decode()), b""))
                    self._forget(key.decode(), record)
                continue
            try:
                value = self._decoders[topic](raw)
                if not self._is_suppressed(value):
                    changes.append(Change(value, raw))
            except msgspec.DecodeError as error:
                # Not ours to judge: bad events are dead letters of the worker.
                metrics.VIEW_SKIPPED.labels(topic=topic).inc()
                _log.info(
                    "view_skipped",
                    topic=topic,
                    partition=record.partition(),
                    offset=record.offset(),
                    error=str(error),
                )
        return changes

    def _forget(self, lead_id: str, record: Message) -> None:
        """Show nothing of an erased lead that is still on its way."""
        if self._suppressions.key is not None and len(self._suppressions):
            _, erased = record.timestamp()
            self._suppressions.take_unless_lifted(lead_id, to_datetime(erased))

    def _is_suppressed(self, value: ScoreUpdate | AccountScore | Alert | Event) -> bool:
        known = self._suppressions
        match value:
            case Event():
                return known.screen(value) is None
            case ScoreUpdate():
                return known.hides(value.lead_id, to_instant(value.as_of))
            case Alert():
                at = to_instant(value.decided_at)
                people = () if value.account is None else value.account.people
                return any(known.hides(each, at) for each in (value.lead_id, *people))
            case AccountScore():
                return False

    def _assigned(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        """Go on in each partition where the view itself says that it stands."""
        assign_to_read(consumer, self._starts(given))

    def _begin_again(self) -> None:
        assign_to_read(self._consumer, self._starts(self._consumer.assignment()))

    def _starts(self, given: list[TopicPartition]) -> list[TopicPartition]:
        try:
            self._build = self._view.build()
            positions = self._view.positions()
        except ViewAwayError as error:
            # An empty build is never the present one, so the first write after
            # Redis is back leads here again, with the true positions.
            metrics.VIEW_FAILURES.inc()
            _log.warning("view_away", error=str(error))
            self._build, positions = "", {}
        return [
            TopicPartition(
                each.topic,
                each.partition,
                positions.get((each.topic, each.partition), OFFSET_BEGINNING),
            )
            for each in given
        ]


def _positions(records: Iterable[Message]) -> dict[Position, int]:
    """Return the offset after the last record of each partition."""
    positions: dict[Position, int] = {}
    for record in records:
        topic, partition, offset = record.topic(), record.partition(), record.offset()
        if topic is not None and partition is not None and offset is not None:
            positions[topic, partition] = offset + 1
    return positions


def _is_record(message: Message) -> bool:
    """Tell records from errors: the fatal stop the role, the others are logged."""
    error = message.error()
    if error is None:
        return True
    if error.fatal():
        raise KafkaException(error)
    if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
        _log.warning("broker_trouble", error=error.str())
    return False


class _ClientLog:
    """Where librdkafka's own lines go: our log, one line each."""

    def log(self, level: int, message: str, *args: object) -> None:
        """Log one line of the client library."""
        _log.debug("kafka_client", level=level, message=message % args)


_client_log = _ClientLog()
