"""Many records to librdkafka: a loop of its own, for it is compiled (ADR 0041)."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

Headers = Sequence[tuple[str, str | bytes | None]]
Parts = tuple[str, bytes | None, bytes | None, Headers, int]
"""Topic, key, value, headers and partition of a record: a `Record` without its names.

A worker makes a great many, and no class is as cheap as a tuple.
"""


class PartsLog(Protocol):
    """An event log that takes what has no names, too."""

    async def append(self, records: Sequence[Parts]) -> None:
        """Return when every record is durable; NotDurableError when any may not be."""
        ...


def produce_all(
    produce: Callable[..., None], records: Sequence[Parts], on_delivery: Any
) -> None:
    """Hand every record to a producer, which tells `on_delivery` what becomes of it.

    Raises
    ------
    BufferError
        When the producer's queue is full.
    KafkaException
        When one of them can never be sent.
    """
    for topic, key, value, headers, partition in records:
        if headers:
            produce(topic, value, key, partition, on_delivery, headers=[*headers])
        else:  # even an empty list costs: librdkafka makes headers of it
            produce(topic, value, key, partition, on_delivery)
