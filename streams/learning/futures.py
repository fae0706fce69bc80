"""Futures of open deals: each is drawn again and again from what deals did before.

How long deals take is a survival curve by age in days. Deals are watched from the first
end that is known (what ended before is in no table), and those still open count for as
long as they have been watched. Whether a deal is won depends on its age at the end, and
on the month: months differ more than lots do, and those that stand at the same place in
their quarter are most alike. Every run draws the past anew (Bayesian bootstrap) and the
temper of each month, so that what is not known spreads the futures.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from schemas.time import DAY, Instant
from streams.learning.design import Flags, Floats, Whole

LEAST: Final = 60
"""Deals that must have ended before anything is foretold."""
_CELLS: Final = 4_000_000
"""Numbers held at once; more runs are drawn one block after the other."""
_AROUND: Final = 7
"""Days of age on either side that tell which share is won."""
_DRAWN: Final = 10.0
"""Deals' worth by which the share won at an age is drawn to that of all ages."""
_ALIKE: Final = 32.0
"""Deals' worth by which a month is drawn to what all months are like."""
_TEMPER: Final = 0.3
"""How far months lie apart, in log odds, where nothing is known of it."""
_NARROW: Final = 0.15


@dataclass(frozen=True, slots=True)
class Past:
    """Deals as a forecast sees them at an instant: what ended, and what waits."""

    at: Instant
    entered: Whole
    """Age in days at which a deal came under watch."""
    left: Whole
    """Age at which it ended, or that it has reached."""
    over: Flags
    """Whether it ended."""
    won: Flags
    month: Whole
    """Months since 1970 at which it ended, or that it is now."""
    ratio: Floats
    """What deals that were won brought, as a multiple of what was foretold of them."""
    began: Whole
    """When each deal that waits began."""
    value: Floats
    """What was foretold of its worth."""


def month_of(at: Whole) -> Whole:
    """Return the months since 1970 of instants."""
    months: Whole = at.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    return months


def drawn(
    past: Past, ends: Sequence[Instant], *, runs: int, seed: int
) -> Iterator[tuple[slice, Floats, Whole]]:
    """Yield runs, what each waiting deal brings in them, and in which span.

    The spans begin at the instant of `past` and end at `ends`; a deal that brings
    nothing until the last has the number of spans.
    """
    chosen = np.random.default_rng(seed)
    bounds = np.array([end - past.at for end in ends])
    table = _Ages(past)
    block = max(_CELLS // (len(past.left) + len(past.began) + 1), 1)
    for start in range(0, runs, block):
        many = min(block, runs - start)
        away, wins = table.draw(many, chosen)
        ratio = past.ratio[chosen.integers(0, len(past.ratio), away.shape)]
        place = np.searchsorted(bounds, away, side="left")
        gain = np.where(wins & (place < len(ends)), past.value * ratio, 0.0)
        yield slice(start, start + many), gain, place


class _Ages:
    """What deals do at each age, in days, and what months do to it."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._days = int(past.left.max()) + 1
        self._left = self._table(past.left, np.ones(len(past.left)))
        self._entered = self._table(past.entered, np.ones(len(past.left)))
        self._over = self._table(past.left, past.over.astype(float))
        self._won = self._table(past.left, past.won.astype(float))
        self._age = np.maximum(past.at - past.began, 0) // DAY
        self._months = _Months(past, self._shares(np.ones((1, len(past.left))))[0])

    def _table(self, ages: Whole, values: Floats) -> Any:
        """Return a table that sums `values` by age."""
        from scipy.sparse import csr_matrix  # noqa: PLC0415 - heavy

        size = len(ages)
        places = (np.minimum(ages, self._days - 1), np.arange(size))
        return csr_matrix((values, places), shape=(self._days, size))

    def _shares(self, weights: Floats) -> Floats:
        """Return the share won of those that end at each age, run by run."""
        over = (self._over @ weights.T).T
        won = (self._won @ weights.T).T
        whole = won.sum(axis=1, keepdims=True) / over.sum(axis=1, keepdims=True)
        shares: Floats = (_near(won) + _DRAWN * whole) / (_near(over) + _DRAWN)
        return np.clip(shares, 0.001, 0.999)

    def _staying(self, weights: Floats) -> Floats:
        """Return who is still open after each age, run by run (Kaplan and Meier)."""
        over = (self._over @ weights.T).T
        came = np.cumsum((self._entered @ weights.T).T, axis=1)
        went = np.cumsum((self._left @ weights.T).T, axis=1)
        watched = np.zeros_like(over)
        # Who ends at an age was watched before it.
        watched[:, 1:] = came[:, :-1] - went[:, :-1]
        ends = over / np.maximum(watched, 1e-9)
        return np.cumprod(1 - np.clip(ends, 0, 1), axis=1)

    def draw(self, runs: int, chosen: np.random.Generator) -> tuple[Whole, np.ndarray]:
        """Return in how long each waiting deal ends, and whether it is won.

        One that outlives all that is known of never ends here.
        """
        weights = chosen.exponential(size=(runs, len(self._past.left)))
        staying, shares = self._staying(weights), self._shares(weights)
        last = self._days - 1
        now = np.minimum(self._age, last)
        wanted = chosen.random((runs, len(now))) * staying[:, now]
        ends = np.empty(wanted.shape, np.int64)
        for run in range(runs):
            ends[run] = np.searchsorted(-staying[run], -wanted[run], side="left")
        never = (ends > last) | (wanted <= 0)
        ends = np.minimum(ends, last)
        # In the middle of its last day, and after now.
        away = np.maximum(self._past.began + ends * DAY - DAY // 2 - self._past.at, 1)
        share = np.take_along_axis(shares, ends, axis=1)
        share = self._months.moved(share, away + self._past.at, chosen)
        won = (chosen.random(share.shape) < share) & ~never
        return np.where(never, np.iinfo(np.int64).max, away), won


def _near(table: Floats) -> Floats:
    """Return the sums over the ages nearby."""
    sums = np.cumsum(table, axis=1)
    last = table.shape[1] - 1
    ages = np.arange(last + 1)
    above = sums[:, np.minimum(ages + _AROUND, last)]
    below = np.where(ages > _AROUND, sums[:, np.maximum(ages - _AROUND - 1, 0)], 0.0)
    found: Floats = above - below
    return found


class _Months:
    """By how much months' odds to win lie off what deals' ages say."""

    def __init__(self, past: Past, shares: Floats) -> None:
        over = past.over
        month, won = past.month[over], past.won[over]
        expected = shares[np.minimum(past.left[over], len(shares) - 1)]
        self._off: Mapping[int, float] = {
            int(each): float(
                (won[month == each] - expected[month == each]).sum()
                / ((expected * (1 - expected))[month == each].sum() + _ALIKE / 4)
            )
            for each in np.unique(month)
        }
        apart = list(self._off.values())
        self._apart = float(np.std(apart)) if len(apart) > 1 else _TEMPER

    def moved(self, share: Floats, at: Whole, chosen: np.random.Generator) -> Floats:
        """Return the shares as the months `at` which deals end move them."""
        months = month_of(at)
        odds = np.log(share / (1 - share))
        for month in np.unique(months).tolist():
            alike = [
                off
                for each, off in self._off.items()
                if each != month and (month - each) % 3 == 0
            ]
            middle = sum(alike) / (len(alike) + 0.5)
            wide = (
                max(float(np.std(alike, ddof=1)), _NARROW)
                if len(alike) > 1
                else self._apart / np.sqrt(len(alike) + 1)
            )
            temper = chosen.normal(middle, wide, (len(share), 1))
            odds = np.where(months == month, odds + temper, odds)
        return 1 / (1 + np.exp(-odds))
