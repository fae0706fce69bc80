"""Kafka's record batches of what is to be written: a loop that is compiled.

aiokafka's builder puts a record where it belongs in its batch at once, in C; no client
keeps an object for it (ADR 0050).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from streams.producing import Headers, Parts

BATCH_BYTES: Final = 512 * 1024
"""A batch that is longer holds one record; brokers take a megabyte by default."""

Place = tuple[str, int]
"""A topic and the number of a partition."""

_MAGIC: Final = 2
_NONE: Final = -1
_NO_HEADERS: Final[list[tuple[str, bytes | None]]] = []


class RecordBatch:
    """Records of one partition, as Kafka keeps them."""

    __slots__ = ("_builder", "records")

    def __init__(self) -> None:
        """Begin with no record."""
        self._builder: Any = DefaultRecordBatchBuilder(
            _MAGIC,
            compression_type=0,
            is_transactional=0,
            producer_id=_NONE,
            producer_epoch=_NONE,
            base_sequence=_NONE,
            batch_size=BATCH_BYTES,
        )
        self.records = 0

    def add(
        self, now: int, key: bytes | None, value: bytes | None, headers: Headers
    ) -> bool:
        """Add a record of the instant `now` in milliseconds; False if it is full."""
        legal = _NO_HEADERS
        if headers:
            legal = [
                (name, each.encode() if isinstance(each, str) else each)
                for name, each in headers
            ]
        if self._builder.append(self.records, now, key, value, legal) is None:
            return False
        self.records += 1
        return True

    @property
    def size(self) -> int:
        """Its size in bytes, until it is sealed."""
        size: int = self._builder.size()
        return size

    def sealed(self, producer: int, epoch: int, sequence: int) -> bytes:
        """Return the bytes of the batch, numbered by its producer; only once."""
        self._builder.set_producer_state(producer, epoch, sequence)
        return bytes(self._builder.build())


def in_batches(
    records: Sequence[Parts],
    now: int,
    partition_of: Callable[[str, bytes | None], int],
) -> dict[Place, list[RecordBatch]]:
    """Return the batches of each partition, in the records' order.

    `partition_of` is asked where a record says only which key it has.
    """
    found: dict[Place, list[RecordBatch]] = {}
    for topic, key, value, headers, number in records:
        if number < 0:
            number = partition_of(topic, key)  # noqa: PLW2901 - no new name is clearer
        place = topic, number
        batches = found.get(place)
        if batches is None:
            batches = found[place] = [RecordBatch()]
        if not batches[-1].add(now, key, value, headers):
            batch = RecordBatch()
            batch.add(now, key, value, headers)
            batches.append(batch)
    return found
