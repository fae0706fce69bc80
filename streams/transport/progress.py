"""How far every partition is: handed out, durable, committed.

Offsets are never inferred from acknowledged messages, as stock Faust does (gaps
starve its commits, exceptions and rebalances lose events). A position moves only
when the one who processed a batch says that everything it wrote is durable, and
only if nothing before that batch was left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Partition(NamedTuple):
    """A partition of a topic, by the topic's full name."""

    topic: str
    partition: int


class Record(Protocol):
    """What the broker keeps of one record, as the client hands it over."""

    @property
    def offset(self) -> int:
        """Return the place of the record in its partition."""
        ...

    @property
    def key(self) -> bytes | None:
        """Return the key as it was sent."""
        ...

    @property
    def value(self) -> bytes | None:
        """Return the value as it was sent."""
        ...

    @property
    def timestamp(self) -> int:
        """Return when it was produced, in milliseconds since 1970."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Return the headers as they were sent."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of one partition that one fetch brought, in order."""

    partition: Partition
    start: int
    """The position the fetch began at; offsets up to the first record are gaps."""
    end: int
    """The position after the last record."""
    records: Sequence[Record]


@dataclass(slots=True, eq=False)
class Fetch:
    """Everything that was at hand when the last fetch was done with."""

    batches: tuple[Batch, ...]
    generation: int
    """Of the consumer group, at the time of the fetch."""
    term: int
    """Counts the seeks: what was fetched before the last one is read again."""

    def __len__(self) -> int:
        """Return the number of records."""
        return sum(len(batch.records) for batch in self.batches)

    def release(self) -> None:
        """Hold no record any more: Faust remembers a fetch until the next one."""
        self.batches = ()


class SkippedRecordsError(Exception):
    """A batch was to be acknowledged although records before it were left out."""


class LogWentBackError(Exception):
    """A partition delivers offsets from before the position it was read to."""

    def __init__(self, partition: Partition, expected: int, found: int) -> None:
        """Name the partition and both positions."""
        super().__init__(
            f"{partition.topic}[{partition.partition}] continues at offset {found}, "
            f"before {expected} where reading stood: the topic was truncated or made "
            "anew. Restore it, or start a new deployment (LEADPULSE_APP_ID and "
            "LEADPULSE_TOPIC_PREFIX)"
        )


class Progress:
    """The positions of every partition that is being read."""

    def __init__(self) -> None:
        """Start with no partition."""
        self._handed_out: dict[Partition, int] = {}
        self._durable: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}

    def begin(self, positions: Mapping[Partition, int]) -> None:
        """Read from `positions` on; nothing else counts any more."""
        self._handed_out = dict(positions)
        self._durable = dict(positions)
        self._committed = dict(positions)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Forget partitions that are not ours any more."""
        for partition in partitions:
            self._handed_out.pop(partition, None)
            self._durable.pop(partition, None)
            self._committed.pop(partition, None)

    def hand_out(self, partition: Partition, records: Sequence[Record]) -> Batch | None:
        """Return `records` as the next batch; None if the partition is not ours.

        Raises
        ------
        LogWentBackError
            When the first record lies before the position reading stood at.
        """
        start = self._handed_out.get(partition)
        if start is None or not records:
            return None
        if records[0].offset < start:
            raise LogWentBackError(partition, start, records[0].offset)
        end = records[-1].offset + 1
        self._handed_out[partition] = end
        return Batch(partition, start, end, records)

    def complete(self, batch: Batch) -> None:
        """Note that everything that `batch` caused is durable.

        Raises
        ------
        SkippedRecordsError
            When records before the batch were never completed.
        """
        durable = self._durable.get(batch.partition)
        if durable is None:
            return
        if batch.start > durable:
            msg = (
                f"{batch.partition} was completed up to {durable} and a batch "
                f"starts at {batch.start}"
            )
            raise SkippedRecordsError(msg)
        self._durable[batch.partition] = max(durable, batch.end)

    def to_commit(self) -> dict[Partition, int]:
        """Return the durable positions that are not committed yet."""
        return {
            partition: position
            for partition, position in self._durable.items()
            if position > self._committed[partition]
        }

    def committed(self, positions: Mapping[Partition, int]) -> None:
        """Note that the group coordinator has accepted `positions`."""
        for partition, position in positions.items():
            if partition in self._committed:
                self._committed[partition] = position

    def durable(self, partition: Partition) -> int | None:
        """Return the position up to which everything is done, None if not ours."""
        return self._durable.get(partition)
