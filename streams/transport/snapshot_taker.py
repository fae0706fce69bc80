"""Takes snapshots of the tables while the worker goes on, a few states at a time.

On the way it looks at what was written on the changelog since the last one, for a
former owner that was paused may have written late. Such a record never wins, but
compaction would keep it for being the last: the state is written again at once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

import structlog

from schemas.topics import Topic
from streams import metrics
from streams.event_log import EventLog, NotDurableError, Record
from streams.state_records import Claim, encode_stored
from streams.tables import StateTable
from streams.transport.changelog import end_of, late_keys, mark_of, open_reader
from streams.transport.consumer import NotOwnerError
from streams.transport.snapshots import FORMAT, Header, SnapshotFolder

if TYPE_CHECKING:
    from confluent_kafka import Consumer

    from streams.clock import Clock
    from streams.settings import Settings

TIDY_SECONDS: Final = 1.0
_AT_ONCE: Final = 250
"""States that are taken before events have their turn again: a millisecond or two."""

_log = structlog.get_logger(__name__)

Confirm = Callable[[], Awaitable[None]]
"""Returns if the partitions are this worker's still, else raises NotOwnerError."""


class _AbandonedError(Exception):
    """The states are not this worker's any more, or one was removed meanwhile."""


class SnapshotTaker:
    """Takes the snapshots of one worker."""

    def __init__(
        self,
        settings: "Settings",
        *,
        tables: Mapping[Topic, StateTable],
        log: EventLog,
        clock: "Clock",
        confirm: Confirm,
        writing: asyncio.Lock,
    ) -> None:
        """Take snapshots of `tables`; nothing is done before it is asked for.

        Who holds `writing` is alone in writing states.
        """
        self._settings = settings
        self._folder = SnapshotFolder(settings)
        self._tables = tables
        self._log = log
        self._clock = clock
        self._confirm = confirm
        self._writing = writing
        self._taken: dict[tuple[str, int], tuple[Claim, int]] = {}
        """Removals from the table when the snapshot that is there was begun."""
        self._seen: dict[tuple[str, int], tuple[Claim, int]] = {}
        """How far the changelog was looked at, by whose claim."""

    async def take(self) -> int:
        """Take a snapshot of every partition that is owned; return how many."""
        begin = time.monotonic()
        reader = await asyncio.to_thread(open_reader, self._settings)
        try:
            count = await self._take_all(reader)
        finally:
            await asyncio.to_thread(reader.close)
        metrics.SNAPSHOT_SECONDS.set(time.monotonic() - begin)
        return count

    async def _take_all(self, reader: "Consumer") -> int:
        count = 0
        for topic, table in self._tables.items():
            for partition in sorted(table.partitions):
                try:
                    states = await self._take(reader, topic, table, partition)
                except (_AbandonedError, NotOwnerError):
                    metrics.SNAPSHOTS.labels("abandoned").inc()
                except (OSError, NotDurableError) as error:
                    metrics.SNAPSHOTS.labels("failed").inc()
                    _log.warning(
                        "snapshot_failed",
                        changelog=topic.name,
                        partition=partition,
                        error=str(error),
                    )
                else:
                    count += 1
                    metrics.SNAPSHOTS.labels("taken").inc()
                    _log.debug(
                        "snapshot_taken",
                        changelog=topic.name,
                        partition=partition,
                        states=states,
                    )
        return count

    def tidy(self) -> None:
        """Remove the snapshots that hold what was removed, or what is not owned."""
        for topic, table in self._tables.items():
            name = self._settings.topic(topic.name)
            for key, (claim, removals) in list(self._taken.items()):
                if key[0] == name and (claim, removals) != (
                    table.claim(key[1]),
                    table.removals(key[1]),
                ):
                    del self._taken[key]
                    self._folder.discard(*key)

    async def _take(
        self, reader: "Consumer", topic: Topic, table: StateTable, partition: int
    ) -> int:
        name = self._settings.topic(topic.name)
        claim, removals = table.claim(partition), table.removals(partition)
        if claim is None:
            raise _AbandonedError
        end = await asyncio.to_thread(end_of, reader, name, partition)
        mark = await asyncio.to_thread(mark_of, reader, name, partition, end - 1)
        if not mark:
            raise _AbandonedError  # the log has lost its end
        # With the writing in hand done, what was on the changelog by then is in the
        # table; confirmed after that, nobody else had claimed the partition by then. By
        # the mark it is known later whether it is this end.
        async with self._writing:
            await self._confirm()
        of, start = self._seen.get((name, partition), (None, 0))
        if of != claim:
            start = claim.offset + 1
        late = await asyncio.to_thread(
            late_keys, reader, name, partition, range(start, end), claim
        )
        if late:
            await self._repair(name, table, partition, claim, late)
        self._seen[name, partition] = claim, end
        header = Header(
            format=FORMAT,
            topic=name,
            partition=partition,
            claim=claim.id,
            claimed_at=claim.offset,
            read_on=end,
            taken_at=self._clock.now(),
            mark=mark,
        )
        count = 0
        with await asyncio.to_thread(self._folder.write, header) as writer:
            for keys in _some(table.keys_of(partition)):
                states = table.stored(keys, claim)
                count += len(states)
                await asyncio.to_thread(writer.add, states)
                self._expect(table, partition, claim, removals)
            # Also where there was no state: a partition that went away has none.
            self._expect(table, partition, claim, removals)
            await asyncio.to_thread(writer.finish)
        self._taken[name, partition] = claim, removals
        return count

    @staticmethod
    def _expect(table: StateTable, partition: int, claim: Claim, removals: int) -> None:
        if (table.claim(partition), table.removals(partition)) != (claim, removals):
            raise _AbandonedError

    async def _repair(
        self,
        name: str,
        table: StateTable,
        partition: int,
        claim: Claim,
        late: list[str],
    ) -> None:
        """Write again what a former owner wrote over since the last look."""
        _log.warning("late_writes_undone", changelog=name, states=len(late))
        async with self._writing:  # or what is written meanwhile would be lost
            await self._confirm()
            await self._log.append(
                [
                    Record(name, key.encode(), encode_stored(stored), (), partition)
                    for key, stored in table.stored(late, claim)
                ]
            )


def _some(keys: list[str]) -> Iterable[list[str]]:
    for start in range(0, len(keys), _AT_ONCE):
        yield keys[start : start + _AT_ONCE]
