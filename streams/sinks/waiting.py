"""What waits to be written: of every lead the latest only, whatever came before."""

import threading
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from streams.sinks.rows import Row

MOST: Final = 20_000
"""Leads that wait at most before nothing more is read."""


class Waiting(msgspec.Struct, frozen=True):
    """A row, and where it came from."""

    row: Row
    partition: int
    offset: int
    at: int
    """When its record was written (ms)."""
    since: float
    """When the first of its lead that still waits came, by the monotonic clock."""


class Standing(NamedTuple):
    """How much waits, and since when."""

    leads: int
    oldest: int | None
    """The instant (ms) of the oldest record that waits."""


class WaitingRows:
    """Rows between the topic and the CRM; one thread puts, another takes."""

    def __init__(self, most_in_batch: int, wait_seconds: float) -> None:
        """Give out batches of `most_in_batch`, or what has waited long enough."""
        self._most = most_in_batch
        self._wait = wait_seconds
        self._changed = threading.Condition()
        self._waiting: dict[str, Waiting] = {}
        self._flying: dict[str, Waiting] = {}
        self._positions: dict[int, int] = {}
        self._finishing = False

    def put(self, new: Waiting) -> None:
        """Keep a row; it takes the place of an older one of the same lead."""
        with self._changed:
            self._positions[new.partition] = new.offset + 1
            lead = new.row.lead_id
            known = self._waiting.get(lead)
            if known is None:
                self._waiting[lead] = new
            elif new.row.sequence >= known.row.sequence:
                self._waiting[lead] = msgspec.structs.replace(new, since=known.since)
            if len(self._waiting) >= self._most or known is None:
                self._changed.notify_all()

    def passed(self, partition: int, offset: int) -> None:
        """Note that a record was read that leaves nothing to be written."""
        with self._changed:
            self._positions[partition] = offset + 1

    def take(self, now: float, within: float) -> list[Waiting]:
        """Return the next batch; nothing if none is due `within` seconds.

        All rows of a batch are of different records.
        """
        with self._changed:
            due = self._due_in(now)
            if due is None or due > 0:
                self._changed.wait(within if due is None else min(due, within))
                return []
            keys: set[str] = set()
            batch: list[Waiting] = []
            for each in self._waiting.values():
                key = (each.row.key or each.row.lead_id).casefold()
                if key in keys:
                    continue
                keys.add(key)
                batch.append(each)
                if len(batch) == self._most:
                    break
            for each in batch:
                lead = each.row.lead_id
                del self._waiting[lead]
                self._flying[lead] = each
            return batch

    def latest(self, batch: Iterable[Waiting]) -> list[Waiting]:
        """Return `batch` as it should be written now; some of it may be nobody's.

        What came meanwhile takes the place of what was not written yet.
        """
        with self._changed:
            current = []
            for each in batch:
                lead = each.row.lead_id
                if lead not in self._flying:
                    continue  # its partition went to another
                newer = self._waiting.get(lead)
                if newer is not None and newer.row.clear and not each.row.clear:
                    del self._flying[lead]  # nothing more may be written of it
                    continue
                if newer is not None and newer.row.key == each.row.key:
                    self._flying[lead] = self._waiting.pop(lead)
                current.append(self._flying[lead])
            return current

    def done(self, batch: Iterable[Waiting]) -> None:
        """Forget rows that the CRM has, or will never take."""
        with self._changed:
            for each in batch:
                self._flying.pop(each.row.lead_id, None)
            self._changed.notify_all()

    def give_up(self, partitions: Iterable[int]) -> None:
        """Forget all of partitions that went to another."""
        gone = set(partitions)
        with self._changed:
            for rows in (self._waiting, self._flying):
                for lead in [k for k, v in rows.items() if v.partition in gone]:
                    del rows[lead]
            for partition in gone:
                self._positions.pop(partition, None)
            self._changed.notify_all()

    def finish(self) -> None:
        """Let everything be due at once from now on."""
        with self._changed:
            self._finishing = True
            self._changed.notify_all()

    def settled(self) -> dict[int, int]:
        """Return by partition the offset before which nothing waits any more."""
        with self._changed:
            offsets = dict(self._positions)
            for rows in (self._waiting, self._flying):
                for each in rows.values():
                    known = offsets.get(each.partition, each.offset)
                    offsets[each.partition] = min(known, each.offset)
            return offsets

    def standing(self) -> Standing:
        """Return how much waits, and since when."""
        with self._changed:
            rows = [*self._waiting.values(), *self._flying.values()]
            return Standing(len(rows), min((each.at for each in rows), default=None))

    def _due_in(self, now: float) -> float | None:
        """Return in how many seconds a batch is due; None if nothing waits."""
        if not self._waiting:
            return None
        if self._finishing or len(self._waiting) >= self._most:
            return 0.0
        first = next(iter(self._waiting.values()))
        return max(first.since + self._wait - now, 0.0)
