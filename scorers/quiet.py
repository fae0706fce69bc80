"""Quiet hours and shifts: when they begin and end in the place they are meant in."""

from datetime import datetime, time, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

from schemas.time import Instant, to_datetime, to_instant
from scorers.policy import Day, QuietHours, Shift


class Quiet:
    """Hours of the day in which nobody is told, in a time zone."""

    def __init__(self, hours: QuietHours) -> None:
        """Prepare `hours`."""
        self.start = time.fromisoformat(hours.start)
        self.end = time.fromisoformat(hours.end)
        self.zone = ZoneInfo(hours.zone)

    def until(self, at: Instant) -> Instant | None:
        """Return when the quiet hours that hold at `at` end; None if none do."""
        local = to_datetime(at).astimezone(self.zone)
        clock = local.time()
        if self.start < self.end:
            inside = self.start <= clock < self.end
        else:
            inside = clock >= self.start or clock < self.end
        if not inside:
            return None
        day = local.date() if clock < self.end else local.date() + timedelta(days=1)
        return to_instant(datetime.combine(day, self.end, self.zone))


class OnShift:
    """Hours of some days in which people are there, in a time zone."""

    def __init__(self, shift: Shift) -> None:
        """Prepare `shift`."""
        self.leads = shift.leads
        self.start = time.fromisoformat(shift.start)
        self.end = time.fromisoformat(shift.end)
        self.zone = ZoneInfo(shift.zone)
        names = get_args(Day)
        self.days = frozenset(names.index(day) for day in shift.days)

    def holds(self, at: Instant) -> bool:
        """Say whether `at` is in these hours; after midnight they are yesterday's."""
        local = to_datetime(at).astimezone(self.zone)
        clock, day = local.time(), local.weekday()
        if self.start < self.end:
            return self.start <= clock < self.end and day in self.days
        if clock >= self.start:
            return day in self.days
        return clock < self.end and (day - 1) % len(get_args(Day)) in self.days
