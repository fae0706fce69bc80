"""The memory of delivery, durable on a topic: what was told, and what waits.

Each target remembers for itself, and only for the partitions of alerts that it has.
Nothing is remembered longer than alerts are kept, and nothing of who was erased.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Final

import msgspec
import structlog
from confluent_kafka import KafkaError, Message, Producer

from schemas import cloudevents
from schemas.alert import Alert
from schemas.dead_letter import DeadLetter
from schemas.delivery import Delivery, DeliveryRecord, DigestStopped
from schemas.time import Instant, to_datetime, to_instant
from schemas.topics import DEAD_LETTERS, DELIVERIES, NOTIFICATIONS
from streams import metrics
from streams.event_log import PARTITION_OF_KEY
from streams.kafka_access import client_config
from streams.producing import Headers
from streams.settings import Settings
from streams.topic_reader import read_topic

DIGESTS_PARTITION: Final = 0
"""Where it is kept who wants no digests: one place, for it is about no lead."""

_SECONDS_BETWEEN: Final = 1.0
_log = structlog.get_logger(__name__)
_encode: Final = msgspec.json.Encoder().encode
_decoder: Final[msgspec.json.Decoder[DeliveryRecord]] = msgspec.json.Decoder(
    DeliveryRecord
)


class StoppedError(Exception):
    """The process is to end; what was begun is done again after the next start."""


class Writer:
    """Puts records on topics and returns when they are durable."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        """Write to the broker of `settings` until `stop` is set."""
        self._settings = settings
        self._stop = stop
        self._producer = Producer(
            {
                **client_config(settings),
                "client.id": f"{settings.app_id}-delivery",
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 1,
                "log_level": 0,
            }
        )
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=self._serve, name="delivery-writer", daemon=True
        )
        self._thread.start()

    def write(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        partition: int | None = None,
    ) -> None:
        """Return when the record is durable, however long that takes.

        Raises
        ------
        StoppedError
            When the process is to end before it is.
        """
        while True:
            done, errors = threading.Event(), list[KafkaError]()

            def report(
                error: KafkaError | None,
                _: Message,
                done: threading.Event = done,
                errors: list[KafkaError] = errors,
            ) -> None:
                if error is not None:
                    errors.append(error)
                done.set()

            self._producer.produce(
                self._settings.topic(topic),
                value=value,
                key=key,
                headers=list(headers),
                on_delivery=report,
                partition=PARTITION_OF_KEY if partition is None else partition,
            )
            while not done.wait(_SECONDS_BETWEEN):
                if self._closing.is_set():
                    raise StoppedError
            if not errors:
                return
            _log.warning("not_written", topic=topic, error=errors[0].str())
            if self._stop.wait(_SECONDS_BETWEEN):
                raise StoppedError

    def close(self) -> None:
        """Send what is left, then let go."""
        self._producer.flush(5)
        self._closing.set()
        self._thread.join()

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(0.1)


class Journal:
    """What one target remembers."""

    def __init__(self, settings: Settings, target: str, writer: Writer) -> None:
        """Remember nothing yet; `load` reads."""
        self._settings = settings
        self._target = target
        self._writer = writer
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, Delivery]] = {}
        """By alert id: the partition and how it stands."""

    def load(self, partitions: Collection[int]) -> None:
        """Read what was remembered of `partitions`.

        Raises
        ------
        UnreadableTopicError
            When the topic is missing or no broker answers.
        """
        if not partitions:
            return
        found: dict[str, tuple[int, Delivery]] = {}
        topic = self._settings.topic(DELIVERIES.name)
        for record in read_topic(self._settings, topic, only=partitions):
            key, value = record.key() or b"", record.value()
            target, _, alert_id = key.decode("utf-8", "replace").partition("/")
            if target != self._target:
                continue
            if value is None:
                found.pop(alert_id, None)
                continue
            delivery = _read(value)
            if isinstance(delivery, Delivery):
                found[alert_id] = (record.partition() or 0, delivery)
        with self._lock:
            self._known |= found

    def forget(self, partitions: Collection[int]) -> None:
        """Drop what belongs to others now."""
        with self._lock:
            gone = [
                key for key, (where, _) in self._known.items() if where in partitions
            ]
            for key in gone:
                del self._known[key]

    def record(self, delivery: Delivery, partition: int) -> None:
        """Return when it is durable how `delivery` stands.

        Raises
        ------
        StoppedError
            When the process is to end before.
        """
        self._write(delivery.key, _encode(delivery), partition)
        with self._lock:
            self._known[delivery.alert.id] = (partition, delivery)

    def erase(self, alert_id: str) -> None:
        """Forget an alert for good."""
        with self._lock:
            known = self._known.get(alert_id)
        if known is not None:
            self._write(f"{self._target}/{alert_id}", None, known[0])
            with self._lock:
                self._known.pop(alert_id, None)

    def get(self, alert_id: str) -> Delivery | None:
        """Return how it stands with an alert."""
        with self._lock:
            known = self._known.get(alert_id)
        return None if known is None else known[1]

    def partition_of(self, alert_id: str) -> int:
        """Return the partition that an alert is remembered on."""
        with self._lock:
            return self._known[alert_id][0]

    def find(self, wanted: Callable[[Delivery], bool]) -> list[Delivery]:
        """Return those that are `wanted`, in the order in which they were decided."""
        with self._lock:
            found = [each for _, each in self._known.values() if wanted(each)]
        return sorted(found, key=lambda each: (each.alert.decided_at, each.alert.id))

    def episode(self, alert: Alert) -> Delivery | None:
        """Return what `alert` follows on: the message of the same episode."""
        if alert.recalls is not None:
            return self.get(alert.recalls)
        if alert.kind not in {"cooled", "unworked"}:
            return None
        earlier = self.find(
            lambda each: (
                each.alert.subject == alert.subject
                and each.alert.kind == "hot"
                and each.alert.recalls is None
                and each.standing in {"told", "held", "worked"}
            )
        )
        return earlier[-1] if earlier else None

    def sweep(self, now: Instant, hidden: Callable[[Alert], bool]) -> None:
        """Forget what is older than alerts are kept, and who was erased."""
        oldest = to_datetime(now - (NOTIFICATIONS.retention_ms or 0))
        for each in self.find(lambda one: one.at < oldest or hidden(one.alert)):
            self.erase(each.alert.id)

    def no_digests_for(self) -> set[str]:
        """Return who wants no digests of this target any more.

        Raises
        ------
        UnreadableTopicError
            When no broker answers.
        """
        topic = self._settings.topic(DELIVERIES.name)
        records = read_topic(self._settings, topic, only={DIGESTS_PARTITION})
        stopped: dict[str, bool] = {}
        for record in records:
            value = record.value()
            told = None if value is None else _read(value)
            if isinstance(told, DigestStopped) and told.target == self._target:
                stopped[told.person] = True
        return set(stopped)

    def bury(self, alert: Alert, partition: int, detail: str, now: Instant) -> None:
        """Return when `alert` is a dead letter of this target.

        Raises
        ------
        StoppedError
            When the process is to end before.
        """
        letter = DeadLetter(
            stage="delivery",
            reason="undeliverable",
            detail=f"{self._target}: {detail}",
            topic=self._settings.topic(NOTIFICATIONS.name),
            partition=partition,
            offset=-1,
            at=to_datetime(now),
        )
        self._writer.write(
            DEAD_LETTERS.name, alert.subject.encode(), _encode(alert), letter.headers()
        )
        metrics.DEAD_LETTERS.labels("delivery", letter.reason).inc()

    def _write(self, key: str, value: bytes | None, partition: int) -> None:
        self._writer.write(
            DELIVERIES.name,
            key.encode(),
            value,
            cloudevents.headers(
                type=cloudevents.DELIVERY,
                source="/delivery",
                id=key,
                time=to_datetime(time.time_ns() // 1_000_000),
            ),
            partition,
        )


def digest_stopped(target: str, person: str, now: Instant) -> DigestStopped:
    """Return the record that `person` wants no digests of `target`."""
    return DigestStopped(target=target, person=person, at=to_datetime(now))


def _read(value: bytes) -> DeliveryRecord | None:
    try:
        return _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # of a later release


def due(deliveries: Iterable[Delivery], now: Instant) -> list[Delivery]:
    """Return those that wait no longer at `now`."""
    return [
        each
        for each in deliveries
        if each.due_at is not None and to_instant(each.due_at) <= now
    ]
