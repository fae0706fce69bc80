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
    """A clock that started in the past, runs fast until it has caught up, then true.

    It showed `origin` when the wall showed `started` and runs `speed` times as fast
    as the wall until both show the same; from then on it is the wall clock. All
    processes that are given the same three numbers agree on the time.
    """

    def __init__(self, *, origin: Instant, started: Instant, speed: float) -> None:
        """Run from `origin`, at wall-clock instant `started`, at `speed` (> 0)."""
        self._origin = origin
        self._started = started
        self._speed = speed
        self._wall = SystemClock()

    @property
    def catches_up_at(self) -> Instant | None:
        """The instant at which it becomes the wall clock; None if it never does."""
        behind = self._started - self._origin
        if behind <= 0 or self._speed <= 1:
            return None
        return self._started + int(behind / (self._speed - 1))

    def now(self) -> Instant:
        """Return the present instant of scaled time."""
        wall = self._wall.now()
        scaled = self._origin + int((wall - self._started) * self._speed)
        return scaled if self.catches_up_at is None else min(scaled, wall)

    def seconds_since(self, instant: Instant) -> float:
        """Return the real seconds that passed since the scaled `instant`."""
        caught_up = self.catches_up_at
        if caught_up is not None and instant >= caught_up:
            return self._wall.seconds_since(instant)
        started = self._started + (instant - self._origin) / self._speed
        return max(0.0, time.time() - started / 1000)
