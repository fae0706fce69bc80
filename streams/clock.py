"""The only place that reads the time of day.

The collector stamps events with it and the timer wheel advances by it; scoring
reads no clock at all. A scaled clock runs faster than the wall, so that the demo
can show weeks in a minute while every part keeps its ordinary code path.
"""

import time
from typing import Protocol

from schemas.time import Instant


class Clock(Protocol):
    """Tells the processing time."""

    def now(self) -> Instant:
        """Return the present instant; never earlier than the one before."""
        ...

    def seconds_since(self, instant: Instant) -> float:
        """Return how many seconds of real time have passed since `instant`."""
        ...


class SystemClock:
    """The wall clock, held back from ever going backwards within a process."""

    def __init__(self) -> None:
        """Start at the present."""
        self._latest = 0

    def now(self) -> Instant:
        """Return the present instant in whole milliseconds."""
        self._latest = max(self._latest, time.time_ns() // 1_000_000)
        return self._latest

    def seconds_since(self, instant: Instant) -> float:
        """Return real seconds since `instant`, zero at the least."""
        return max(0.0, time.time() - instant / 1000)


class ScaledClock:
    """A clock that started at `origin` and runs `speed` times as fast as the wall.

    All processes that are given the same three numbers agree on the time.
    """

    def __init__(self, *, origin: Instant, started: Instant, speed: float) -> None:
        """Run from `origin`, at wall-clock instant `started`, at `speed` (> 0)."""
        self._origin = origin
        self._started = started
        self._speed = speed
        self._wall = SystemClock()

    def now(self) -> Instant:
        """Return the present instant of scaled time."""
        return self._origin + int((self._wall.now() - self._started) * self._speed)

    def seconds_since(self, instant: Instant) -> float:
        """Return the real seconds that passed since the scaled `instant`."""
        started = self._started + (instant - self._origin) / self._speed
        return max(0.0, time.time() - started / 1000)
