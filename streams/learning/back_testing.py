"""Back-test: forecasts of the past, made by what was known then, and the facts."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from schemas.time import DAY, Instant, Millis, to_datetime
from streams.learning.deals import Deals
from streams.learning.design import Floats
from streams.learning.evidence import wilson
from streams.learning.foretold import BackTest, Correction, Figure, Month, Reach
from streams.learning.futures import LEAST, drawn
from streams.learning.misses import LENGTHS, MONTH, Spread, Track, Tracks

CHECKED: Final = 5
"""Forecasts of a reach that could be checked before one is counted."""
RUNS: Final = 100
"""Futures of each: what lots leave unsure is far less than what forecasts miss by."""
_ORIGINS: Final = 150
"""Forecasts of the past that are made, on whole days; more say little more."""
_WEEK: Final = 7 * DAY

Days = tuple[int, int]
"""From which day to which after a forecast was made."""


class Told(NamedTuple):
    """One forecast of the past, and what happened."""

    at: Instant
    days: Days
    value: Figure
    raw: Figure
    """What the simulation alone said."""
    fact: float
    deals: float
    checked: int


def back_test(
    deals: Deals,
    until: Instant,
    *,
    months: int = 3,
    runs: int = RUNS,
    every: Millis | None = None,
    seed: int = 7,
    report: Callable[[int, int], None] = lambda _done, _all: None,
) -> tuple[BackTest, Tracks]:
    """Return how forecasts of the past did, and what they missed by.

    Every day of the past (`every` so often, where that is long) it is foretold what the
    deals that were open bring in the next week, fortnight and each of the next months,
    from what was known then: the deals, and how forecasts before it did whose end had
    come. Only forecasts made when five of their reach could be checked are counted.
    """
    tracks = Tracks(months)
    counted: dict[Days, list[Told]] = {}
    ended = np.sort(deals.ended[deals.open == 0])
    first = until if len(ended) < LEAST else int(ended[LEAST - 1])
    step = every or max(-(-(until - first) // (_ORIGINS * DAY)), 1) * DAY
    origins = range(first, until - _WEEK, step)
    for number, at in enumerate(origins):
        report(number, len(origins))
        for told in _tried(deals, at, until, tracks, runs=runs, seed=seed + number):
            if told.checked >= CHECKED:
                counted.setdefault(told.days, []).append(told)
    month = counted.get((0, MONTH), [])
    covered, bias, error = _figures([each.value for each in month], month)
    return (
        BackTest(
            forecasts=len(month),
            covered=covered,
            bias=bias,
            error=error,
            points=tuple(
                Month(
                    month=f"{to_datetime(each.at):%Y-%m-%d}",
                    value=each.value,
                    deals=each.deals,
                    fact=each.fact,
                )
                for each in month
            ),
            reaches=tuple(
                _reach(days, counted[days]) for days in sorted(counted, key=sum)
            ),
        ),
        tracks,
    )


def _tried(
    deals: Deals,
    at: Instant,
    until: Instant,
    tracks: Tracks,
    *,
    runs: int,
    seed: int,
) -> Iterator[Told]:
    """Yield a forecast of every reach that has come to its end, and keep its miss."""
    known = deals.past(at)
    months = [MONTH * (month + 1) for month in tracks.totals]
    days = [each for each in (*LENGTHS, *months) if at + each * DAY <= until]
    if known is None or not len(known.began) or not days:
        return
    brought = np.zeros((runs, len(days)))
    wins = np.zeros(len(days))
    ends = [at + each * DAY for each in days]
    for rows, gain, place in drawn(known, ends, runs=runs, seed=seed):
        for span in range(len(days)):
            inside = gain * (place == span)
            brought[rows, span] = inside.sum(axis=1)
            wins[span] += (inside > 0).sum() / runs
    total, won = brought.cumsum(axis=1), wins.cumsum()

    def told(track: Track, span: Days, said: Floats, spread: Spread) -> Iterator[Told]:
        start, end = (at + each * DAY for each in span)
        fact = deals.fact(at, start, end)
        raw = Figure(float(said.mean()), *map(float, np.quantile(said, [0.1, 0.9])))
        track.note(at, end, raw.value, fact)
        if raw.value:
            yield Told(
                at=at,
                days=span,
                value=spread.around(said),
                raw=raw,
                fact=fact,
                deals=float(won[days.index(span[1])]),
                checked=spread.checked,
            )

    for length in LENGTHS:
        if length in days:
            track = tracks.starting[length]
            said = total[:, days.index(length)]
            yield from told(track, (0, length), said, track.spread(at))
    moved = total[:, days.index(MONTH)] if MONTH in days else total[:, 0]
    moved = moved * tracks.starting[MONTH].spread(at).factor
    for month, track in tracks.later.items():
        end = MONTH * (month + 1)
        if end not in days:
            return
        said, spread = brought[:, days.index(end)], track.spread(at)
        yield from told(track, (end - MONTH, end), said, spread)
        moved = moved + said * spread.factor
        whole = tracks.totals[month]
        yield from told(whole, (0, end), moved, whole.spread(at))


def _figures(
    values: Sequence[Figure], told: Sequence[Told]
) -> tuple[float, float, float]:
    """Return which share of the intervals held, the bias, and the usual error."""
    if not told:
        return 0.0, 0.0, 0.0
    facts = np.array([each.fact for each in told])
    said = np.array([each.value for each in values])
    held = [
        each.low <= fact <= each.high for each, fact in zip(values, facts, strict=True)
    ]
    brought = max(float(facts.sum()), 1e-9)
    return (
        float(np.mean(held)),
        float(said.sum() / brought - 1),
        float(np.abs(said - facts).sum() / brought),
    )


def _reach(days: Days, told: Sequence[Told]) -> Reach:
    covered, bias, error = _figures([each.value for each in told], told)
    raw = _figures([each.raw for each in told], told)
    span = (told[-1].at - told[0].at) / DAY
    independent = min(int(span / (days[1] - days[0])) + 1, len(told))
    around = wilson(round(covered * independent), independent)
    return Reach(
        start=days[0],
        end=days[1],
        forecasts=len(told),
        covered=Figure(covered, min(around.low, covered), max(around.high, covered)),
        independent=independent,
        bias=bias,
        error=error,
        raw_covered=raw[0],
        raw_bias=raw[1],
    )


def corrections(tracks: Tracks, until: Instant) -> tuple[Correction, ...]:
    """Return what the next forecasts are moved and spread by."""
    named = [
        *(((0, length), track) for length, track in tracks.starting.items()),
        *(
            ((MONTH * month, MONTH * (month + 1)), track)
            for month, track in tracks.later.items()
        ),
        *(((0, MONTH * (month + 1)), track) for month, track in tracks.totals.items()),
    ]
    return tuple(
        Correction(
            start=start,
            end=end,
            checked=spread.checked,
            factor=spread.factor,
            width=spread.width,
        )
        for (start, end), track in named
        for spread in [track.spread(until)]
    )
