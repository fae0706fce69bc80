"""How many dead letters are too many: a broken deploy must not drain the topics."""

from collections import deque
from typing import Final

from streams.errors import UserError

WINDOW: Final = 200
"""Records looked back at; below half of it nothing is concluded."""


class TooManyDeadLettersError(UserError):
    """Most records cannot be processed: that is not the records' fault."""


class DeadLetterGuard:
    """Watches the share of dead letters among the latest records."""

    def __init__(self, limit: float) -> None:
        """Tolerate a share of up to `limit`, above 0 and up to 1 (never stops)."""
        self._limit = limit
        self._seen: deque[tuple[int, int]] = deque()
        self._records = 0
        self._dead = 0

    def note(self, records: int, dead: int, example: str) -> None:
        """Take `records` more, of which `dead` cannot be processed.

        Raises
        ------
        TooManyDeadLettersError
            When the share is above the limit; nothing of these records may be
            written then, so that they are read again after a repair.
        """
        self._seen.append((records, dead))
        self._records += records
        self._dead += dead
        while self._records - self._seen[0][0] >= WINDOW:
            gone = self._seen.popleft()
            self._records -= gone[0]
            self._dead -= gone[1]
        if self._records * 2 >= WINDOW and self._dead > self._limit * self._records:
            msg = (
                f"{self._dead} of the last {self._records} records cannot be "
                f"processed (for example: {example}). The worker stopped so that they "
                "do not all end as dead letters; none of the last batch is lost. "
                "Repair what sends them, or go back to the release before, then start "
                "the worker again; to let them pass as dead letters start it once "
                "with LEADPULSE_DEAD_LETTER_RATIO=1"
            )
            raise TooManyDeadLettersError(msg)
