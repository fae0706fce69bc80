"""A record as it came from Kafka."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, cast

from streams.transport.progress import Partition

if TYPE_CHECKING:
    from confluent_kafka import Message


class Received:
    """One record: what every record is asked for, the rest when it is asked for.

    Reading headers makes a pair of objects for each of them, and few records have
    theirs looked at. The time is asked for where several topics came at once.
    """

    __slots__ = ("_message", "offset", "value")

    def __init__(self, message: "Message") -> None:
        """Take what librdkafka made of a record without an error."""
        self._message = message
        self.offset: int = message.offset() or 0
        self.value: bytes | None = message.value()

    @property
    def timestamp(self) -> int:
        """Return when it was produced, in milliseconds since 1970."""
        return self._message.timestamp()[1]

    @property
    def key(self) -> bytes | None:
        """Return the key as it was sent."""
        key: bytes | None = self._message.key()
        return key

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Return the headers as they were sent."""
        found = cast("Sequence[tuple[str, bytes]] | None", self._message.headers())
        return found or ()


def by_partition(
    messages: "Iterable[Message]", complain: "Callable[[Message], None]"
) -> dict[Partition, list[Received]]:
    """Return the records among `messages` by their partitions, in order.

    What is an error and no record goes to `complain`.
    """
    found: dict[Partition, list[Received]] = {}
    records: list[Received] = []
    topic: str | None = None
    number: int | None = None
    for message in messages:
        if message.error() is not None:
            complain(message)
            continue
        if message.partition() != number or message.topic() != topic:
            topic, number = message.topic(), message.partition()  # they come in runs
            # A record without an error has a topic and a partition.
            partition = Partition(topic or "", number or 0)
            records = found.setdefault(partition, [])
        records.append(Received(message))
    return found
