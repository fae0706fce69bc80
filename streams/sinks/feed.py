"""One sink at work: reads the topic, keeps the latest of each lead, writes batches.

Two threads: one reads and stays in the consumer group whatever the CRM does, the
other writes. An offset is committed only when nothing before it waits any more.
"""

import math
import threading
import time
from typing import TYPE_CHECKING, Final

import structlog

from schemas.topics import SCORE_UPDATES
from streams import metrics
from streams.errors import UserError
from streams.kafka_access import assign_to_read, client_config
from streams.sending_policy import Sender, SendingPolicy
from streams.sinks.answers import Writer
from streams.sinks.batches import Batches, count
from streams.sinks.language import Sink
from streams.sinks.reading import RowReader
from streams.sinks.waiting import MOST, Waiting, WaitingRows

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message, TopicPartition

    from streams.settings import Settings
    from streams.suppressions import Suppressions

_BATCH: Final = 500
_POLL_SECONDS: Final = 0.25
_COMMIT_SECONDS: Final = 1.0
_TAKE_SECONDS: Final = 0.25
_STOP_SECONDS: Final = 60.0
_ANSWER_SECONDS: Final = 10.0
_STUCK_SECONDS: Final = 120.0

_log = structlog.get_logger(__name__)


class SinkBusyError(UserError):
    """Somebody else has a part of the topic, so not all of it can be written again."""

    def __init__(self, sink: str, group: str) -> None:
        """Say what to do."""
        super().__init__(
            f"the sink '{sink}' is running somewhere (group {group}): stop it first, "
            "so that one process alone writes"
        )


class SinkFeed:
    """Carries score updates into one CRM until it is stopped."""

    def __init__(
        self,
        sink: Sink,
        settings: "Settings",
        writer: Writer,
        known: "Suppressions",
        *,
        again: bool = False,
        policy: SendingPolicy | None = None,
    ) -> None:
        """Write to `writer`; nothing is read before `run`.

        With `again` everything is read from the topic's start, and `run` returns at
        what is its end now.
        """
        self.group = f"{settings.app_id}.sink.{sink.sink}"
        self._sink = sink
        self._settings = settings
        self._topic = settings.topic(SCORE_UPDATES.name)
        self._writer = writer
        self._reader = RowReader(sink, known)
        self._again = again
        self._policy = policy or SendingPolicy(
            rate=sink.attempts, give_up_seconds=math.inf
        )
        self._rows = WaitingRows(sink.most, sink.wait / 1000)
        self._unread: set[int] = set()
        self._committed: dict[int, int] = {}
        self._paused = False
        self._joined = False
        self._turned = time.monotonic()
        self._trouble: BaseException | None = None

    def run(self, stop: threading.Event) -> None:
        """Carry until `stop` is set, then leave the group in good order.

        Raises
        ------
        SinkBusyError
            When all was to be written again and another process is at it.
        """
        halt = threading.Event()
        name = self._sink.sink
        sender = Sender(f"sink.{name}", self._policy, halt)
        batches = Batches(name, self._rows, self._writer, sender)
        consumer = self._consumer()
        thread = threading.Thread(
            target=self._write_all, args=(batches, halt), name=self.group, daemon=True
        )
        consumer.subscribe(
            [self._topic],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._lost,
        )
        thread.start()
        try:
            self._read_all(consumer, stop)
            self._commit(consumer)
        finally:
            halt.set()
            thread.join(_STOP_SECONDS)
            consumer.close()
        if self._trouble is not None:
            raise self._trouble

    def not_ready(self) -> str | None:
        """Say that it has no place in its group yet; None when it has."""
        return None if self._joined else f"{self.group}: not in its group yet"

    def stuck(self) -> str | None:
        """Say that it reads no more; None when all is well, whatever the CRM does."""
        silent = time.monotonic() - self._turned
        if silent < _STUCK_SECONDS:
            return None
        return f"{self.group}: nothing read for {silent:.0f} s"

    def _read_all(self, consumer: "Consumer", stop: threading.Event) -> None:
        next_commit = time.monotonic() + _COMMIT_SECONDS
        while not stop.is_set() and self._trouble is None:
            self._turned = time.monotonic()
            for message in consumer.consume(_BATCH, _POLL_SECONDS):
                self._take(message)
            standing = self._rows.standing()
            self._hold(consumer, standing.leads)
            self._tell(standing.leads, standing.oldest)
            if time.monotonic() >= next_commit:
                next_commit = time.monotonic() + _COMMIT_SECONDS
                self._commit(consumer)
            if self._again and self._joined and not self._unread:
                self._rows.finish()
                if not standing.leads:
                    return

    def _hold(self, consumer: "Consumer", leads: int) -> None:
        """Read nothing while too much waits; stay in the group all the same."""
        if not self._paused and leads > MOST:
            consumer.pause(consumer.assignment())
            self._paused = True
        elif self._paused and leads < MOST // 2:
            consumer.resume(consumer.assignment())
            self._paused = False

    def _take(self, message: "Message") -> None:
        """Put down what a record says; the end of a partition is a record, too."""
        partition, offset = message.partition() or 0, message.offset() or 0
        if (error := message.error()) is not None:
            if error.name() == "_PARTITION_EOF":
                self._unread.discard(partition)
            elif error.fatal():
                from confluent_kafka import KafkaException  # noqa: PLC0415 - heavy

                raise KafkaException(error)
            else:
                _log.warning("broker_trouble", sink=self._sink.sink, error=error.str())
            return
        row = self._reader.read(message)
        if isinstance(row, str):
            if row != "elsewhere":
                count(self._sink.sink, row)
            self._rows.passed(partition, offset)
            return
        _, written = message.timestamp()
        self._rows.put(Waiting(row, partition, offset, written, time.monotonic()))

    def _write_all(self, batches: Batches, halt: threading.Event) -> None:
        try:
            while not halt.is_set():
                if batch := self._rows.take(time.monotonic(), _TAKE_SECONDS):
                    batches.send(batch)
        except BaseException as error:  # noqa: BLE001 - raised by the other thread
            self._trouble = error

    def _tell(self, leads: int, oldest: int | None) -> None:
        name = self._sink.sink
        lag = 0.0 if oldest is None else max(time.time() - oldest / 1000, 0.0)
        metrics.SINK_WAITING.labels(sink=name).set(leads)
        metrics.SINK_LAG.labels(sink=name).set(lag)

    def _commit(self, consumer: "Consumer") -> None:
        """Tell the group how far the CRM is."""
        from confluent_kafka import KafkaException, TopicPartition  # noqa: PLC0415

        try:
            mine = {each.partition for each in consumer.assignment()}
        except KafkaException:  # it is being closed: that was committed before
            return
        fresh = {
            partition: offset
            for partition, offset in self._rows.settled().items()
            if partition in mine and self._committed.get(partition) != offset
        }
        if not fresh:
            return
        offsets = [TopicPartition(self._topic, *each) for each in fresh.items()]
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # The broker is away, or the group is being shared out: a second later then.
            _log.info("sink_commit_failed", sink=self._sink.sink, error=str(error))
        else:
            self._committed.update(fresh)

    def _assigned(self, consumer: "Consumer", given: list["TopicPartition"]) -> None:
        from confluent_kafka import OFFSET_BEGINNING  # noqa: PLC0415 - heavy

        if self._again:
            found = consumer.list_topics(self._topic, _ANSWER_SECONDS).topics
            if len(given) < len(found[self._topic].partitions):
                self._trouble = SinkBusyError(self._sink.sink, self.group)
                return
            self._unread = {each.partition for each in given}
            for each in given:
                each.offset = OFFSET_BEGINNING
        for each in given:
            self._committed.pop(each.partition, None)
        self._joined = True
        self._paused = False
        assign_to_read(consumer, given)

    def _revoked(self, consumer: "Consumer", taken: list["TopicPartition"]) -> None:
        """Leave partitions to another, with what is settled of them committed."""
        self._commit(consumer)
        self._lost(consumer, taken)

    def _lost(self, _: "Consumer", taken: list["TopicPartition"]) -> None:
        self._rows.give_up(each.partition for each in taken)
        self._unread -= {each.partition for each in taken}

    def _consumer(self) -> "Consumer":
        from confluent_kafka import Consumer  # noqa: PLC0415 - loads librdkafka

        return Consumer(
            {
                **client_config(self._settings),
                "group.id": self.group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "session.timeout.ms": round(self._settings.session_seconds * 1000),
                "heartbeat.interval.ms": round(self._settings.session_seconds * 150),
                "fetch.wait.max.ms": 50,
                "topic.metadata.refresh.interval.ms": 10_000,
                "allow.auto.create.topics": False,
                "log_level": 0,
            }
        )
