"""The scaled clock: weeks in a minute, and then the present."""

import time

from schemas.time import DAY, SECOND
from streams.clock import ScaledClock
from tests.waiting import wait_until


def wall() -> int:
    return time.time_ns() // 1_000_000


def test_runs_fast_until_it_has_caught_up_and_true_from_then_on() -> None:
    """Three weeks pass in a third of a second; then it is the wall clock."""
    started = wall()
    speed = 21 * DAY / 300
    clock = ScaledClock(origin=started - 21 * DAY, started=started, speed=speed)
    caught_up = clock.catches_up_at

    assert caught_up is not None
    assert 299 <= caught_up - started <= 302
    assert clock.now() < started - DAY
    wait_until(lambda: wall() > caught_up, within=2)
    assert 0 <= wall() - clock.now() < SECOND


def test_tells_real_seconds_on_both_sides_of_the_catching_up() -> None:
    """A latency is in real seconds, whether the instant was scaled or true."""
    started = wall() - 10 * SECOND
    clock = ScaledClock(origin=started - 5 * DAY, started=started, speed=DAY / SECOND)
    caught_up = clock.catches_up_at

    assert caught_up is not None
    assert abs(clock.seconds_since(started - 5 * DAY) - 10) < 0.2
    assert abs(clock.seconds_since(started - 4 * DAY) - 9) < 0.2
    assert abs(clock.seconds_since(wall() - 2 * SECOND) - 2) < 0.2


def test_a_clock_that_starts_ahead_stays_ahead() -> None:
    """A scaled clock that does not start in the past never becomes the wall clock."""
    started = wall()
    clock = ScaledClock(origin=started + DAY, started=started, speed=2)

    assert clock.catches_up_at is None
    assert clock.now() >= started + DAY
