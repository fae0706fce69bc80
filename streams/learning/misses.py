"""Misses: by how much past forecasts were off, and what that means for the next.

Of each reach (so many days ahead) the log of fact over forecast is kept. How far the
next will be off is foretold from those of which the end was known by then, by Student's
t: the fewer, the wider. Windows that overlap say little more than one, so they count as
the number that would fit side by side.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from schemas.time import DAY, Instant
from streams.learning.design import Floats
from streams.learning.foretold import Figure

LEVEL: Final = 0.8
_OFF: Final = 0.3
"""By how much a month's forecast is taken to be off, in logs, where none was checked.

Those of less are taken to be off by more, those of longer by less: waves cancel out.
"""
_DOUBT: Final = 4.0
"""How many forecasts' worth that counts."""
_TRUST: Final = 2.0
"""How many windows' worth it counts that forecasts are right on the whole."""
_FLOOR: Final = 0.02
"""A fact that is a smaller share of its forecast counts as this share."""
LENGTHS: Final = (7, 14, 30)
"""Days of the reaches that begin at once."""
MONTH: Final = 30


@dataclass(frozen=True, slots=True)
class Spread:
    """How far facts lie around a forecast: its log ratio's middle, width, freedom."""

    middle: float
    width: float
    freedom: float
    factor: float = 1.0
    """By what forecasts of this reach are multiplied, to be right on the whole."""
    checked: int = 0
    """How many forecasts this is known from."""

    def around(self, runs: Floats, *, of: Floats | None = None) -> Figure:
        """Return what the runs mean, and the interval that holds 80 % of facts.

        What spreads the runs `of` the whole (the runs themselves if absent) is part of
        what forecasts missed by, and does not count twice.
        """
        from scipy.stats import t  # noqa: PLC0415 - heavy

        whole = runs if of is None else of
        mean = float(runs.mean())
        if not mean:
            return Figure(0.0, 0.0, 0.0)
        lots = float(whole.std() / max(whole.mean(), 1e-9))
        rest = float(np.sqrt(max(self.width**2 - np.log1p(lots**2), 0.0)))
        # Evenly over the distribution, in an order that has nothing to do with the
        # runs': exact where lots would only be near.
        even = (np.arange(len(runs)) + 0.5) / len(runs)
        order = np.random.default_rng(len(runs)).permutation(len(runs))
        off = self.middle + rest * t.ppf(even[order], self.freedom)
        outside = (1 - LEVEL) / 2
        low, high = np.quantile(runs * np.exp(off), [outside, 1 - outside])
        return Figure(mean * self.factor, float(low), float(high))


@dataclass(slots=True)
class Track:
    """What forecasts of one reach missed by, in the order in which they were made."""

    days: float
    """How long their windows are."""
    is_centred: bool = True
    """Whether forecasts are moved by what they were off on the whole."""
    made: list[Instant] = field(default_factory=list)
    known: list[Instant] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
    facts: list[float] = field(default_factory=list)

    def note(self, at: Instant, end: Instant, told: float, fact: float) -> None:
        """Keep what a forecast made `at`, of what would be until `end`, came to."""
        if told > 0:
            self.made.append(at)
            self.known.append(end)
            self.told.append(told)
            self.facts.append(fact)

    def spread(self, at: Instant) -> Spread:
        """Return how far facts will lie around the next, as far as is known `at`.

        The mean and the variance of the misses are not known either (a normal-inverse
        gamma prior, as if four forecasts had been off by three tenths).
        """
        seen = [place for place, end in enumerate(self.known) if end <= at]
        prior = _OFF**2 * MONTH / self.days
        if not seen:
            return Spread(0.0, float(np.sqrt(prior)), _DOUBT)
        told, facts = np.array(self.told)[seen], np.array(self.facts)[seen]
        misses = np.log(np.maximum(facts / told, _FLOOR))
        span = (self.made[seen[-1]] - self.made[seen[0]]) / DAY
        size = min(span / self.days + 1, len(seen))
        mean, apart = float(misses.mean()), float(misses.var())
        freedom = _DOUBT + size
        if not self.is_centred:
            width = (_DOUBT * prior + size * (apart + mean**2)) / freedom
            return Spread(0.0, float(np.sqrt(width)), freedom, 1.0, len(seen))
        held = size / (size + _TRUST)
        width = (_DOUBT * prior + size * apart + _TRUST * held * mean**2) / freedom
        return Spread(
            middle=held * mean,
            width=float(np.sqrt(width * (1 + 1 / (size + _TRUST)))),
            freedom=freedom,
            factor=float(1 + held * (facts.sum() / told.sum() - 1)),
            checked=len(seen),
        )


class Tracks:
    """What forecasts of every reach missed by."""

    def __init__(self, months: int = 3) -> None:
        """Begin with none; forecasts reach up to `months` months of 30 days."""
        self.starting = {days: Track(days) for days in LENGTHS}
        self.later = {month: Track(MONTH) for month in range(1, months)}
        self.totals = {
            month: Track(MONTH * (month + 1), is_centred=False)
            for month in range(1, months)
        }

    def month(self, start: float, end: float, at: Instant) -> Spread:
        """Return the spread of what comes from `start` to `end`, in days from `at`."""
        if not start:
            near = min(
                self.starting, key=lambda days: abs(np.log(days / max(end, 1.0)))
            )
            return self.starting[near].spread(at)
        month = min(round((start + end) / 2 / MONTH - 0.5), len(self.later))
        track = self.starting[MONTH] if month < 1 else self.later[month]
        return track.spread(at)

    def total(self, days: float, at: Instant) -> Spread:
        """Return the spread of what comes in all the `days`, months being moved."""
        month = min(max(round(days / MONTH) - 1, 0), len(self.totals))
        if month:
            return self.totals[month].spread(at)
        found = self.starting[MONTH].spread(at)
        off = found.middle - float(np.log(found.factor))
        return replace(found, middle=off, factor=1.0)
