"""Forecast: what open deals will bring, when, with an interval from simulation.

Simulated futures of each deal are added up, then moved and spread by what past
forecasts of the same reach missed by: neither lots nor months alone err so much.
"""

from typing import Final

import numpy as np

from schemas.time import DAY, Instant, to_datetime
from streams.learning.deals import Deals
from streams.learning.foretold import Forecast, Month, Part
from streams.learning.futures import drawn
from streams.learning.misses import Tracks

RUNS: Final = 1_000


def months_after(at: Instant, count: int) -> list[Instant]:
    """Return the ends of the month of `at` and of those after it.

    A month of which less than a day is left is part of the next.
    """
    first = np.datetime64(at + DAY, "ms").astype("datetime64[M]") + 1
    ends = first + np.arange(count)
    return [int(end) for end in ends.astype("datetime64[ms]").astype(np.int64)]


def forecast(
    deals: Deals,
    at: Instant,
    *,
    months: int = 3,
    runs: int = RUNS,
    seed: int = 7,
    currency: str = "USD",
    tracks: Tracks | None = None,
    known_until: Instant | None = None,
) -> Forecast:
    """Return what the deals that are open at `at` will bring, by month and by part.

    `tracks` is how forecasts of the past did; without them nothing is known of it.
    """
    ends = months_after(at, months)
    starts = [at, *ends[:-1]]
    past = Tracks() if tracks is None else tracks
    spreads = [
        past.month((start - at) / DAY, (end - at) / DAY, at)
        for start, end in zip(starts, ends, strict=True)
    ]
    whole = past.total((ends[-1] - at) / DAY, at)
    waits = deals.waiting(at)
    names = {
        by: np.unique(np.array(kinds)[waits], return_inverse=True)
        for by, kinds in deals.kinds.items()
    }
    by_month = np.zeros((runs, months))
    wins = np.zeros(months)
    by_part = {by: np.zeros((runs, len(found[0]))) for by, found in names.items()}
    known = deals.past(at)
    moved = np.array([*(each.factor for each in spreads), 0.0])
    for rows, gain, place in (
        [] if known is None else drawn(known, ends, runs=runs, seed=seed)
    ):
        for month in range(months):
            inside = gain * (place == month)
            by_month[rows, month] = inside.sum(axis=1)
            wins[month] += (inside > 0).sum() / runs
        shifted = gain * moved[place]
        for by, (_, member) in names.items():
            for part in range(by_part[by].shape[1]):
                by_part[by][rows, part] = shifted[:, member == part].sum(axis=1)
    total = by_month @ moved[:-1]
    return Forecast(
        at=to_datetime(at).isoformat(),
        open=int(waits.sum()),
        pipeline=float(deals.worth(at)[waits].sum()),
        total=whole.around(total, of=total),
        months=tuple(
            Month(
                month=f"{to_datetime(end - 1):%Y-%m}",
                value=spread.around(by_month[:, place]),
                deals=float(wins[place]),
                fact=deals.fact(at, start, end)
                if known_until is not None and end <= known_until
                else None,
            )
            for place, (start, end, spread) in enumerate(
                zip(starts, ends, spreads, strict=True)
            )
        ),
        parts=tuple(
            Part(
                by=by,
                name=str(name),
                deals=int((member == part).sum()),
                value=whole.around(by_part[by][:, part], of=total),
            )
            for by, (found, member) in names.items()
            for part, name in enumerate(found)
        ),
        currency=currency,
    )
