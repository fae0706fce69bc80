"""Reading the sources from where the last owner stopped, by librdkafka.

The group is Faust's client's business, the records are not: that client asks for all
partitions anew whenever one of them had a record, in Python. librdkafka keeps asking
in threads of its own, and what it has is taken without waiting (ADR 0044).
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import structlog

from streams.kafka_access import THROUGH, client_config
from streams.transport.progress import Partition
from streams.transport.received import Received, by_partition

if TYPE_CHECKING:
    from confluent_kafka import Message

    from streams.settings import Settings

PARTITION_BYTES: Final = 512 * 1024
"""The most that one answer brings of one partition."""
_AHEAD_RECORDS: Final = 20_000
_AHEAD_KILOBYTES: Final = 16 * 1024
"""What is kept ready in memory, of all partitions together."""
_ANSWER_MS: Final = 100
"""After how long an empty answer says where a partition ends."""
_POLL_SECONDS: Final = 0.2

_log = structlog.get_logger(__name__)


class SourceReader:
    """Reads partitions from given positions on; where to read changes by a new one.

    What was fetched for one reader cannot turn up in another's records, so nothing
    that came before a rebalance is mistaken for what comes after it.
    """

    def __init__(
        self, settings: "Settings", positions: Mapping[Partition, int]
    ) -> None:
        """Begin to fetch at once."""
        from confluent_kafka import (  # noqa: PLC0415 - loads librdkafka
            Consumer,
            TopicPartition,
        )

        self._consumer = Consumer(
            {
                **client_config(settings),
                **THROUGH,
                "client.id": f"{settings.app_id}-worker",
                # Nothing is joined by it: partitions are assigned by hand.
                "group.id": f"{settings.app_id}-reader",
                "auto.offset.reset": "earliest",
                "check.crcs": True,
                "fetch.message.max.bytes": PARTITION_BYTES,
                "fetch.wait.max.ms": _ANSWER_MS,
                "queued.min.messages": _AHEAD_RECORDS,
                "queued.max.messages.kbytes": _AHEAD_KILOBYTES,
            },
            logger=logging.getLogger("kafka"),
        )
        self._consumer.assign(
            [
                TopicPartition(topic, number, position)
                for (topic, number), position in positions.items()
            ]
        )
        self._first: list[Message] = []
        self._polling: asyncio.Future[None] | None = None

    def take(self, most: int) -> dict[Partition, list[Received]]:
        """Return at most so many records that are at hand, by their partitions.

        Nothing while `wait` waits, for what comes first is handed out first.

        Raises
        ------
        KafkaException
            When the client can go on no more.
        """
        if self._polling is not None and not self._polling.done():
            return {}
        messages, self._first = self._first, []
        messages += self._consumer.consume(most - len(messages), 0)
        return by_partition(messages, _complain)

    async def wait(self) -> None:
        """Return when a record is at hand, or some time has passed without one.

        Whoever is cancelled while waiting takes nothing away.

        Raises
        ------
        KafkaException
            When the client can go on no more.
        """
        if self._polling is None or self._polling.done():
            self._polling = asyncio.ensure_future(asyncio.to_thread(self._poll))
        await asyncio.wait({self._polling})
        self._polling.result()

    def _poll(self) -> None:
        found = self._consumer.poll(_POLL_SECONDS)
        if found is not None:
            self._first.append(found)

    def end(self, partition: Partition) -> int | None:
        """Return where a partition ended by the last answer, None before the first."""
        from confluent_kafka import KafkaException, TopicPartition  # noqa: PLC0415

        try:
            found = self._consumer.get_watermark_offsets(
                TopicPartition(*partition), cached=True
            )
        except KafkaException:  # it is not read here
            return None
        return int(found[1]) if found[1] >= 0 else None

    async def close(self) -> None:
        """Let go of the connections; what was not taken is forgotten."""
        if self._polling is not None:
            await asyncio.wait({self._polling})
        await asyncio.to_thread(self._consumer.close)


def _complain(message: "Message") -> None:
    """Say what Kafka has against reading; it is asked again.

    Raises
    ------
    KafkaException
        When the client can go on no more.
    """
    from confluent_kafka import KafkaException  # noqa: PLC0415

    error = message.error()
    if error is not None and error.fatal():
        raise KafkaException(error)
    _log.warning(
        "fetch_trouble",
        topic=message.topic(),
        partition=message.partition(),
        error=None if error is None else error.str(),
    )
