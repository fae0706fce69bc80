"""How often one write key may send: so many requests in a time, per process."""

import math
import time

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from streams.collector.verdict import RefusedError


class Rates:
    """Counts the requests of each key over a sliding window."""

    def __init__(self, limit: str) -> None:
        """Allow `limit`, such as ``600/minute``; everything if it is empty."""
        self._item = parse(limit) if limit else None
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def admit(self, key: str) -> None:
        """Return if the key called `key` may send one more request now.

        Raises
        ------
        RefusedError
            429 with `Retry-After`, when it has sent too many.
        """
        if self._item is None or self._limiter.hit(self._item, key):
            return
        stats = self._limiter.get_window_stats(self._item, key)
        wait = max(1, math.ceil(stats.reset_time - time.time()))
        msg = f"more than {self._item} for this key; see LEADPULSE_RATE_LIMIT"
        headers = {"Retry-After": str(wait)}
        raise RefusedError(429, "too-many", msg, headers=headers)
