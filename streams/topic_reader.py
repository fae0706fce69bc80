"""A topic read from its beginning to what is its end now, beside those who follow it.

Nothing is joined and nothing committed: it can be done at any time, by anybody.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from streams.errors import UserError
from streams.kafka_access import THROUGH, client_config
from streams.partitioner import partition_of

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

    from streams.settings import Settings

_QUIET_SECONDS: Final = 30.0
_ANSWER_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.1
_BATCH: Final = 500


class UnreadableTopicError(UserError):
    """A topic cannot be read."""

    def __init__(self, topic: str, why: str) -> None:
        """Name the topic and say why."""
        super().__init__(f"cannot read {topic}: {why}")


def read_topic(
    settings: "Settings",
    topic: str,
    *,
    key: bytes | None = None,
    only: Collection[int] = (),
) -> "Iterator[Message]":
    """Yield the records there are now, oldest first within a partition.

    With a `key` only the partition that it belongs to is read, with `only` those
    partitions. Whoever reads more than one topic is quicker with a `TopicReader`.

    Raises
    ------
    UnreadableTopicError
        When the topic is missing or no broker answers.
    """
    with TopicReader(settings) as reader:
        yield from reader.read(topic, key=key, only=only)


class TopicReader:
    """Reads topic after topic over the same connections, several at once if need be."""

    def __init__(self, settings: "Settings") -> None:
        """Read from the broker that `settings` name; nothing is connected yet."""
        self._settings = settings
        self._idle: list[Consumer] = []
        self._partitions: dict[str, set[int]] = {}

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()

    def read(
        self,
        topic: str,
        *,
        key: bytes | None = None,
        only: Collection[int] = (),
        latest: int | None = None,
        since: Mapping[int, int] = MappingProxyType({}),
    ) -> "Iterator[Message]":
        """Yield the records there are now, as `read_topic` does.

        With `latest` no more than about so many of each partition, the last ones.
        Where `since` names an offset, a partition is read from there.

        Raises
        ------
        UnreadableTopicError
            When the topic is missing or no broker answers.
        """
        from confluent_kafka import (  # noqa: PLC0415 - loads librdkafka
            OFFSET_BEGINNING,
            KafkaError,
            KafkaException,
            TopicPartition,
        )

        consumer = self._idle.pop() if self._idle else _connected(self._settings)
        try:
            unread = self._wanted(consumer, topic, key, only)
            consumer.assign(
                [
                    TopicPartition(
                        topic,
                        number,
                        since.get(number, OFFSET_BEGINNING)
                        if latest is None
                        else _start(consumer, topic, number, latest),
                    )
                    for number in unread
                ]
            )
            heard = time.monotonic()
            while unread:
                if time.monotonic() - heard > _QUIET_SECONDS:
                    raise UnreadableTopicError(topic, "the broker fell silent")
                first = consumer.poll(_POLL_SECONDS)
                # What is at hand beside it; asked to wait, it would wait for all.
                rest = [] if first is None else consumer.consume(_BATCH, 0)
                for message in (first, *rest) if first is not None else ():
                    error = message.error()
                    if error is None:
                        heard = time.monotonic()
                        yield message
                    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                        unread.discard(message.partition() or 0)
                    elif not error.retriable():
                        raise UnreadableTopicError(topic, error.str())
        except KafkaException as error:
            raise UnreadableTopicError(topic, error.args[0].str()) from None
        finally:
            consumer.unassign()  # also where the rest is not wanted
            self._idle.append(consumer)

    def partitions(self, topic: str) -> set[int]:
        """Return the partitions of `topic`.

        Raises
        ------
        UnreadableTopicError
            When the topic is missing or no broker answers.
        """
        if topic not in self._partitions:
            consumer = self._idle.pop() if self._idle else _connected(self._settings)
            try:
                self._partitions[topic] = _partitions(consumer, self._settings, topic)
            finally:
                self._idle.append(consumer)
        return set(self._partitions[topic])

    def _wanted(
        self, consumer: "Consumer", topic: str, key: bytes | None, only: Collection[int]
    ) -> set[int]:
        """Return the partitions to read."""
        if topic not in self._partitions:
            self._partitions[topic] = _partitions(consumer, self._settings, topic)
        wanted = set(self._partitions[topic])
        if key is not None:
            wanted = {partition_of(key, len(wanted))}
        return wanted.intersection(only) if only else wanted


def _connected(settings: "Settings") -> "Consumer":
    from confluent_kafka import Consumer  # noqa: PLC0415 - loads librdkafka

    return Consumer(
        {
            **client_config(settings),
            **THROUGH,
            # Required by the client; nothing is joined or committed.
            "group.id": f"{settings.app_id}.reader",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "log_level": 0,
        }
    )


def _start(consumer: "Consumer", topic: str, partition: int, latest: int) -> int:
    """Return the offset from which on there are `latest` records, or all there are."""
    from confluent_kafka import TopicPartition  # noqa: PLC0415 - see above

    ends = consumer.get_watermark_offsets(
        TopicPartition(topic, partition), timeout=_ANSWER_SECONDS
    )
    if ends is None:
        raise UnreadableTopicError(topic, "the broker does not say where it ends")
    low, high = ends
    return max(low, high - latest)


def _partitions(consumer: "Consumer", settings: "Settings", topic: str) -> set[int]:
    """Return the partitions of `topic`, which must exist."""
    from confluent_kafka import KafkaException  # noqa: PLC0415 - see above

    try:
        found = consumer.list_topics(timeout=_ANSWER_SECONDS).topics.get(topic)
    except KafkaException as error:
        why = f"no broker answers at {settings.bootstrap} ({error.args[0].str()})"
        raise UnreadableTopicError(topic, why) from None
    if found is None:
        why = "it is missing; run `leadpulse topics create`"
        raise UnreadableTopicError(topic, why)
    return set(found.partitions)
