"""The timer wheel: which lead is to be looked at next, as plain data.

A heap with lazy deletion. Planning is O(log n), asking whether something is due is
O(1), and a tick costs what is due: a million silent leads cost nothing.
"""

import heapq

from schemas.time import Instant

_SLACK = 64
"""Stale entries that are tolerated beside as many as there are plans."""


class Wheel:
    """Holds at most one planned instant per lead."""

    def __init__(self) -> None:
        """Start with nothing planned."""
        self._planned: dict[str, Instant] = {}
        self._heap: list[tuple[Instant, str]] = []

    def __len__(self) -> int:
        """Return the number of leads that have a plan."""
        return len(self._planned)

    def plan(self, lead_id: str, at: Instant | None) -> None:
        """Look at `lead_id` at `at`, whatever was planned before; None for never."""
        if self._planned.get(lead_id) == at:
            return
        if at is None:
            del self._planned[lead_id]
        else:
            self._planned[lead_id] = at
            heapq.heappush(self._heap, (at, lead_id))
        if len(self._heap) > 2 * len(self._planned) + _SLACK:
            self.sort()

    def hold(self, lead_id: str, at: Instant) -> None:
        """Plan one of many, in no order; `sort` is to follow before anything else."""
        self._planned[lead_id] = at

    def sort(self) -> None:
        """Let what is held be in its order."""
        self._heap = [(at, lead) for lead, at in self._planned.items()]
        heapq.heapify(self._heap)

    def next_at(self) -> Instant | None:
        """Return the earliest planned instant, None if there is none."""
        heap = self._heap
        while heap and self._planned.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def pop_due(self, limit: int, now: Instant) -> list[tuple[Instant, str]]:
        """Take out the leads due at `now`, earliest first, at most `limit`."""
        due: list[tuple[Instant, str]] = []
        while len(due) < limit:
            at = self.next_at()
            if at is None or at > now:
                break
            entry = heapq.heappop(self._heap)
            del self._planned[entry[1]]
            due.append(entry)
        return due
