"""The event log: canonical events, durable on their topics before anyone is told.

One producer for everything that brings events in: the collector and `leadpulse
send`. An append returns when every record of it is acknowledged by all in-sync
replicas, or raises; there is nothing in between.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol

import msgspec

from schemas import cloudevents
from schemas.event import Event
from schemas.topics import DEAD_LETTERS, EVENT_TOPICS, Topic, topic_for
from streams import metrics
from streams.kafka_access import client_config
from streams.producing import Headers, Parts, produce_all
from streams.tracing import HEADER_TRACEPARENT

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

    from streams.settings import Settings

PARTITION_OF_KEY: Final = -1
"""Stands for the partition that the key belongs to."""

LARGEST_RECORD: Final = 1_000_000
"""Bytes of a record with its key and headers; Kafka's own limit is 5 % above."""

REFUSALS: Final = frozenset({10, 87})
"""Kafka's codes for a record that it takes at no time: too large, not legal."""


class NotDurableError(Exception):
    """Kafka did not acknowledge everything; send it all again, ids unchanged."""

    retry_seconds: ClassVar[int] = 1
    """When a repeat has a chance."""


class MissingTopicsError(NotDurableError):
    """A broker answers, and has not the topics: somebody has to make them."""


class RecordRefusedError(NotDurableError):
    """Kafka will never take one of the records: it is too large, or not legal there."""


def require_topics(missing: Sequence[str]) -> None:
    """Refuse to write where topics are missing.

    Producing to a topic that is not there would make many brokers create it, silently
    and with the wrong number of partitions.

    Raises
    ------
    MissingTopicsError
        When any is missing; the text says what to do.
    """
    if missing:
        msg = f"no such topics: {', '.join(missing)}; run `leadpulse topics create`"
        raise MissingTopicsError(msg)


class Record(NamedTuple):
    """What goes on a topic."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int = PARTITION_OF_KEY


class EventLog(Protocol):
    """Where events are kept for good."""

    async def append(self, records: Sequence[Record]) -> None:
        """Return when every record is durable.

        Raises
        ------
        NotDurableError
            When any may not be. Some may be: a repeat must repeat the ids.
        """
        ...

    async def missing_topics(self) -> list[str]:
        """Return the topics that events need and the broker does not have.

        Raises
        ------
        NotDurableError
            When no broker answers.
        """
        ...

    async def close(self) -> None:
        """Return when what was appended is sent, or the time for it is over."""
        ...


_encode: Final = msgspec.json.Encoder().encode


def event_record(
    event: Event, lead_id: str, *, prefix: str = "", traceparent: str | None = None
) -> Record:
    """Return `event` as it goes on its topic, keyed by its lead."""
    headers: list[tuple[str, str | bytes | None]] = [
        *cloudevents.headers(
            type=cloudevents.EVENT,
            source=f"/collector/{event.source}",
            id=event.id,
            time=event.occurred_at,
        )
    ]
    if traceparent is not None:
        headers.append((HEADER_TRACEPARENT, traceparent.encode()))
    return Record(
        topic=f"{prefix}{topic_for(event).name}",
        key=lead_id.encode(),
        value=_encode(event),
        headers=headers,
    )


class KafkaEventLog:
    """The event log on Kafka, by librdkafka (ADR 0006).

    One thread serves the delivery reports; an append costs one future, however
    many records it has. Create and use it on one event loop.
    For many small appends at once: a worker, which appends much at a time, has
    `streams.bulk_log`.
    """

    def __init__(
        self,
        settings: "Settings",
        *,
        name: str,
        topics: Iterable[Topic] = (*EVENT_TOPICS, DEAD_LETTERS),
    ) -> None:
        """Start connecting; a broker that is not there yet is not an error."""
        self._timeout = settings.produce_timeout_seconds
        self._took = metrics.APPEND_SECONDS.labels(name)
        self._failed = partial(metrics.APPEND_FAILURES.labels, name)
        self._topics = [settings.topic(topic.name) for topic in topics]
        self._config = _config(settings, name)
        self._topics_seen = False
        self._look: asyncio.Future[list[str]] | None = None
        self._lost = threading.Event()
        self._closing = threading.Event()
        self._producer = self._connect()
        self._thread = threading.Thread(
            target=self._serve, name="event-log", daemon=True
        )
        self._thread.start()

    async def append(
        self, records: Sequence[Parts], *, within: float | None = None
    ) -> None:
        """Return when every record is durable; NotDurableError if any may not be.

        `within` is how many seconds Kafka has, if it is less than it may take.
        """
        if not records:
            return
        if not self._topics_seen:
            require_topics(await self.missing_topics())
        began = time.perf_counter()
        producer = self._producer
        delivery = _Delivery(asyncio.get_running_loop(), len(records))
        self._produce(producer, records, delivery)
        # librdkafka reports by itself in time; the margin is for the report.
        seconds = self._timeout + _REPORT_SECONDS
        if within is not None:
            seconds = min(seconds, within)
        try:
            async with asyncio.timeout(seconds):
                error = await delivery.future
        except TimeoutError:
            self._failed("late").inc()
            self._give_up(producer)
            msg = f"no acknowledgement within {seconds:g} s"
            raise NotDurableError(msg) from None
        if error is None:
            self._took.observe(time.perf_counter() - began)
            return
        if error.code() in REFUSALS:
            self._failed("refused").inc()
            msg = f"refused: {error.str()}"
            raise RecordRefusedError(msg)
        self._failed("failed").inc()
        self._give_up(producer)
        msg = f"not acknowledged: {error.str()}"
        raise NotDurableError(msg)

    async def missing_topics(self) -> list[str]:
        """Return the topics that are not there; NotDurableError without a broker."""
        if self._look is None or self._look.done():
            # However many ask while no broker answers, one asks the broker.
            self._look = asyncio.ensure_future(asyncio.to_thread(self._missing_topics))
        missing = await asyncio.shield(self._look)
        self._topics_seen = not missing
        return missing

    async def close(self) -> None:
        """Flush, then stop the thread."""
        await asyncio.to_thread(self._producer.flush, self._timeout)
        self._closing.set()
        await asyncio.to_thread(self._thread.join)

    def _produce(
        self, producer: "Producer", records: Sequence[Parts], delivery: "_Delivery"
    ) -> None:
        from confluent_kafka import KafkaException  # noqa: PLC0415 - see _connect

        try:
            produce_all(producer.produce, records, delivery)
        except BufferError:
            msg = "the queue to Kafka is full"
            raise NotDurableError(msg) from None
        except KafkaException as failure:
            error = failure.args[0]
            if error.code() in REFUSALS:
                msg = f"not sent: {error.str()}"
                raise RecordRefusedError(msg) from None
            self._give_up(producer)
            msg = f"not sent: {error.str()}"
            raise NotDurableError(msg) from None

    def _give_up(self, producer: "Producer") -> None:
        """Have a producer replaced that could not deliver.

        The broker may have forgotten who it is, or taken it for an impostor: then
        some errors last for ever and do not say so. A new one is a new identity;
        what the old one still delivers is a repeat, and ids make that harmless.
        """
        self._topics_seen = False
        if producer is self._producer:
            self._lost.set()

    def _missing_topics(self) -> list[str]:
        from confluent_kafka import KafkaException  # noqa: PLC0415 - see _connect

        try:
            found = self._producer.list_topics(timeout=_METADATA_SECONDS).topics
        except KafkaException as failure:
            msg = f"no broker answers: {failure.args[0].str()}"
            raise NotDurableError(msg) from None
        return [topic for topic in self._topics if topic not in found]

    def _connect(self) -> "Producer":
        from confluent_kafka import Producer  # noqa: PLC0415 - loads librdkafka

        return Producer(self._config, logger=logging.getLogger("kafka"))

    def _serve(self) -> None:
        """Serve delivery reports until closed; replace a producer that is lost."""
        from confluent_kafka import KafkaException  # noqa: PLC0415 - see _connect

        while not self._closing.is_set():
            try:
                self._producer.poll(_POLL_SECONDS)
            except KafkaException:  # raised for fatal errors only
                self._give_up(self._producer)
            if self._lost.is_set():
                lost, self._producer = self._producer, self._connect()
                self._lost.clear()
                with suppress(KafkaException):
                    lost.purge()
                    lost.flush(_REPORT_SECONDS)


_POLL_SECONDS: Final = 0.1
_METADATA_SECONDS: Final = 2.0
_REPORT_SECONDS: Final = 0.5


class _Delivery:
    """Counts the reports of one append; the last one resolves its future."""

    __slots__ = ("_error", "_left", "_loop", "future")

    def __init__(self, loop: asyncio.AbstractEventLoop, records: int) -> None:
        self._loop = loop
        self._left = records
        self._error: KafkaError | None = None
        self.future: asyncio.Future[KafkaError | None] = loop.create_future()

    def __call__(self, error: "KafkaError | None", _: "Message") -> None:
        """Take one report; runs in the thread that polls."""
        if error is not None:
            self._error = error
        self._left -= 1
        if self._left:
            return
        try:
            self._loop.call_soon_threadsafe(self._resolve)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _resolve(self) -> None:
        if not self.future.done():
            self.future.set_result(self._error)


@asynccontextmanager
async def opened_log(
    settings: "Settings", *, name: str, topics: Iterable[Topic]
) -> AsyncIterator[KafkaEventLog]:
    """Give a log that is closed at the end, for a command that writes and leaves."""
    log = KafkaEventLog(settings, name=name, topics=topics)
    try:
        yield log
    finally:
        await log.close()


def _config(settings: "Settings", name: str) -> dict[str, Any]:
    return {
        **client_config(settings),
        "client.id": f"{settings.app_id}-{name}",
        "acks": "all",
        "enable.idempotence": True,
        # Java's partitioner: every client puts a lead on the same partition.
        "partitioner": "murmur2_random",
        # While requests are in flight the next batch gathers anyway (ADR 0006).
        "linger.ms": 0,
        "message.max.bytes": LARGEST_RECORD,
        "message.timeout.ms": int(settings.produce_timeout_seconds * 1000),
        "queue.buffering.max.kbytes": 131_072,
        "reconnect.backoff.max.ms": 1_000,
        "socket.keepalive.enable": True,
    }
