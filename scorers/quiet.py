"""Quiet hours: when they begin and end in the place where they are meant."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from schemas.time import Instant, to_datetime, to_instant
from scorers.policy import QuietHours


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
