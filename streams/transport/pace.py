"""How much a fetch may bring: as much as is done in a quarter of a second.

More at once is cheaper for each record, for a lead that comes again is written once
(a worker that has fallen behind catches up sooner), and it makes the first record wait
for the last. So the limit follows what the worker can do with what it is given: tens of
thousands of plain events, or hundreds that are hard.
"""

from typing import Final

BUSY_SECONDS: Final = 0.25
"""How long a fetch may take; alerts wait for it."""
FEWEST: Final = 200
MOST: Final = 20_000
_BEGIN: Final = 2_000
_FULL: Final = 0.8
_LARGEST_STEP: Final = 2.0


class Pace:
    """The largest number of records of the next fetch."""

    def __init__(self) -> None:
        """Begin with what most workers do in less than the time there is."""
        self.records = _BEGIN

    def note(self, records: int, seconds: float) -> None:
        """Learn from a fetch of `records` that took `seconds` until all was durable.

        A small one says nothing of how many could be done, unless it took too long.
        """
        if seconds <= 0.0:
            return
        if records < _FULL * self.records and seconds <= BUSY_SECONDS:
            return
        wanted = records * BUSY_SECONDS / seconds
        wanted = min(wanted, _LARGEST_STEP * self.records)
        wanted = max(wanted, self.records / _LARGEST_STEP)
        self.records = round(min(max(wanted, FEWEST), MOST))
