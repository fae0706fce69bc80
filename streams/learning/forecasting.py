"""Forecast: what open deals will bring, when, with an interval from simulation.

Each open deal is drawn again and again: whether it is won, in which month it closes,
and for how much. How long deals take and what they bring is drawn from those that
ended before, so the forecast needs no form of its own. How sure rates are is drawn,
too: the past is resampled with every run.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from schemas.time import DAY, Instant, to_datetime
from scorers.snapshots import Example
from streams.learning.design import Floats, Whole
from streams.learning.foretold import BackTest, Figure, Forecast, Month, Part

RUNS: Final = 2_000
LEVEL: Final = 0.8
_LEAST: Final = 60
CHECKED: Final = 5
"""Forecasts that must have been checked before an interval is claimed."""


class Deals(msgspec.Struct, frozen=True):
    """Deals as numbers: when each began and ended, and what came of it."""

    began: Whole
    ended: Whole
    """A day after the last one known where a deal is open."""
    won: Floats
    open: Floats
    """1 where nothing had become of it when the data ended."""
    value: Floats
    """What was foretold of its worth; the usual amount where nothing was."""
    amount: Floats
    """What it brought, where it was won."""
    score: Floats
    leads: Sequence[str]
    kinds: dict[str, Sequence[str]]
    """The parts by which a forecast is told: owner, source, tier, stage."""


def deals_of(examples: Sequence[Example], until: Instant) -> Deals:
    """Return the deals behind the first snapshot of each lead."""
    first: dict[str, Example] = {}
    for each in examples:
        before = first.get(each.snapshot.lead_id)
        if before is None or each.snapshot.at < before.snapshot.at:
            first[each.snapshot.lead_id] = each
    known = list(first.values())
    amounts = np.array(
        [
            each.verdict.amount
            if each.verdict and each.verdict.won and each.verdict.amount is not None
            else np.nan
            for each in known
        ],
        float,
    )
    values = np.array([_value(each) for each in known], float)
    usual = float(np.nanmean(amounts)) if not np.isnan(amounts).all() else 0.0
    values = np.where(np.isnan(values), usual, values)
    return Deals(
        began=np.array([each.snapshot.at for each in known], np.int64),
        ended=np.array(
            [each.verdict.at if each.verdict else until + DAY for each in known],
            np.int64,
        ),
        won=np.array([float(bool(e.verdict and e.verdict.won)) for e in known]),
        open=np.array([float(each.verdict is None) for each in known]),
        value=values,
        amount=np.where(np.isnan(amounts), values, amounts),
        score=np.array([each.snapshot.score for each in known], float),
        leads=[each.snapshot.lead_id for each in known],
        kinds={
            "owner": [_kind(each, "owner") for each in known],
            "source": [_kind(each, "lead_source", "source") for each in known],
            "tier": [each.snapshot.tier for each in known],
            "stage": [_kind(each, "lifecycle_stage") for each in known],
        },
    )


def _value(example: Example) -> float:
    for name in ("deal_value", "amount", "budget"):
        value = example.snapshot.known.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return float("nan")


def _kind(example: Example, *names: str) -> str:
    for name in names:
        value = example.snapshot.known.get(name)
        if value is not None:
            return str(value)
    return "not known"


def simulated(
    deals: Deals, at: Instant, ends: Sequence[Instant], *, runs: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return what each open deal brings in each span, run by run, and how many.

    The spans begin at `at` and end at `ends`. Only what was known at `at` is used: a
    deal that had ended by then has taught, one that had begun is foretold.
    """
    begun = deals.began < at
    over = begun & (deals.ended <= at)
    waits = begun & ~over
    mine = np.flatnonzero(waits)
    taught = np.flatnonzero(over)
    chosen = np.random.default_rng(seed)
    spans = len(ends)
    brought = np.zeros((runs, len(mine), spans), np.float32)
    wins = np.zeros((runs, spans))
    if not len(mine) or len(taught) < _LEAST:
        return brought, wins
    lasted = (deals.ended - deals.began)[taught]
    age = (at - deals.began)[mine]
    bounds = np.array([0, *[end - at for end in ends]])
    ratio = deals.amount[taught] / np.maximum(deals.value[taught], 1e-9)
    won = deals.won[taught] > 0
    for run in range(runs):
        drawn = chosen.integers(0, len(taught), len(taught))
        table = _Past(lasted[drawn], won[drawn], ratio[drawn], age)
        ends_in, is_won, factor = table.draw(age, chosen)
        place = np.searchsorted(bounds, ends_in, side="left") - 1
        hit = is_won & (place >= 0) & (place < spans)
        rows = np.flatnonzero(hit)
        brought[run, rows, place[rows]] = deals.value[mine][rows] * factor[rows]
        wins[run] = np.bincount(place[rows], minlength=spans)
    return brought, wins


class _Past:
    """Deals that ended, by how long they took; deals that are open still count."""

    def __init__(
        self,
        lasted: Whole,
        won: np.ndarray,
        ratio: Floats,
        age_of_open: Whole,
    ) -> None:
        order = np.argsort(lasted, kind="stable")
        self._lasted, self._won = lasted[order], won[order]
        self._ratio = ratio[won] if won.any() else np.ones(1)
        # Kaplan and Meier: of those that are as old, which share ends at each age.
        times, ended = np.unique(self._lasted, return_counts=True)
        alive = np.sort(np.concatenate((self._lasted, age_of_open)))
        risk = len(alive) - np.searchsorted(alive, times, side="left")
        stays = np.cumprod(1 - np.minimum(ended / np.maximum(risk, 1), 1))
        self._times, self._stays = times, stays

    def draw(
        self, age: Whole, chosen: np.random.Generator
    ) -> tuple[Whole, np.ndarray, Floats]:
        """Return in how long each open deal ends, whether it is won, and its factor.

        One that outlives all that is known of never ends here.
        """
        now = np.searchsorted(self._times, age, side="right")
        left = np.where(now > 0, self._stays[np.maximum(now - 1, 0)], 1.0)
        wanted = chosen.random(len(age)) * left
        # The first age at which so few are left.
        place = np.searchsorted(-self._stays, -wanted, side="left")
        never = (place >= len(self._times)) | (left <= 0)
        place = np.minimum(place, len(self._times) - 1)
        at_age = self._times[place]
        # Who ended as late as that: a share of them was won.
        width = max(len(self._lasted) // 20, 10)
        middle = np.searchsorted(self._lasted, at_age, side="left")
        spot = np.clip(
            middle + chosen.integers(-width, width + 1, len(age)),
            0,
            len(self._lasted) - 1,
        )
        won = self._won[spot] & ~never
        factor = self._ratio[chosen.integers(0, len(self._ratio), len(age))]
        ends_in = np.where(never, np.iinfo(np.int64).max, np.maximum(at_age - age, 1))
        return ends_in, won, factor


def months_after(at: Instant, count: int) -> list[Instant]:
    """Return the ends of the month of `at` and of those after it."""
    moment = to_datetime(at)
    year, month = moment.year, moment.month
    found = []
    for _ in range(count):
        month += 1
        if month > 12:  # noqa: PLR2004 - December
            year, month = year + 1, 1
        start = moment.replace(
            year=year, month=month, day=1, hour=0, minute=0, second=0, microsecond=0
        )
        found.append(round(start.timestamp() * 1000))
    return found


def forecast(
    deals: Deals,
    at: Instant,
    *,
    months: int = 3,
    runs: int = RUNS,
    seed: int = 7,
    currency: str = "USD",
    widening: float = 1.0,
    known_until: Instant | None = None,
) -> Forecast:
    """Return what the deals that are open at `at` will bring, by month and by part.

    `widening` spreads the runs about their middle, as a back-test found necessary.
    """
    ends = months_after(at, months)
    brought, wins = simulated(deals, at, ends, runs=runs, seed=seed)
    waits = (deals.began < at) & (deals.ended > at)
    mine = np.flatnonzero(waits)
    total = brought.sum(axis=(1, 2), dtype=np.float64)
    by_month = brought.sum(axis=1, dtype=np.float64)
    starts = [at, *ends[:-1]]
    parts = []
    for by, kinds in deals.kinds.items():
        names = np.array([kinds[row] for row in mine.tolist()])
        for name in sorted(set(names.tolist())):
            its = names == name
            parts.append(
                Part(
                    by=by,
                    name=name,
                    deals=int(its.sum()),
                    value=around(
                        brought[:, its].sum(axis=(1, 2), dtype=np.float64), widening
                    ),
                )
            )
    return Forecast(
        at=to_datetime(at).isoformat(),
        open=len(mine),
        pipeline=float(deals.value[mine].sum()),
        total=around(total, widening),
        months=tuple(
            Month(
                month=f"{to_datetime(start):%Y-%m}",
                value=around(by_month[:, place], widening),
                deals=float(wins[:, place].mean()),
                fact=_fact(deals, at, start, end)
                if known_until is not None and end <= known_until
                else None,
            )
            for place, (start, end) in enumerate(zip(starts, ends, strict=True))
        ),
        parts=tuple(parts),
        currency=currency,
    )


def around(runs: Floats, widening: float = 1.0) -> Figure:
    """Return the mean of the runs, and the interval that holds 80 % of them."""
    rest = (1 - LEVEL) / 2
    middle = float(runs.mean())
    low, high = np.quantile(runs, [rest, 1 - rest])
    return Figure(
        middle,
        max(middle - (middle - float(low)) * widening, 0.0),
        middle + (float(high) - middle) * widening,
    )


def _fact(deals: Deals, at: Instant, start: Instant, end: Instant) -> float:
    """Return what deals that were open at `at` brought from `start` to `end`."""
    mine = (deals.began < at) & (deals.ended > at)
    closed = mine & (deals.ended > start) & (deals.ended <= end) & (deals.won > 0)
    return float(deals.amount[closed].sum())


def back_test(
    deals: Deals,
    until: Instant,
    *,
    runs: int = 400,
    every: int = 7 * DAY,
    days: int = 30,
    report: Callable[[int], None] = lambda _: None,
) -> tuple[BackTest, float]:
    """Return how forecasts of the past did, and by how much intervals must widen.

    Every week of the past it is foretold what the deals that were open bring in the
    next `days`. Each interval is widened by what the forecasts before it, whose end had
    come by then, would have needed (conformal): months differ by more than lots do.
    No interval is claimed before five forecasts could be checked.
    """
    ended = np.sort(deals.ended[deals.open == 0])
    if len(ended) < 2 * _LEAST:
        return BackTest(forecasts=0, covered=0, bias=0, error=0, points=()), 1.0
    start = int(ended[_LEAST])
    points: list[Month] = []
    misses: list[tuple[Instant, float]] = []
    for number, at in enumerate(range(start, until - days * DAY, every)):
        end = at + days * DAY
        brought, wins = simulated(deals, at, [end], runs=runs, seed=number)
        told = brought.sum(axis=(1, 2), dtype=np.float64)
        if not told.any():
            continue
        fact = _fact(deals, at, at, end)
        seen = [miss for known, miss in misses if known <= at]
        if len(seen) >= CHECKED:
            points.append(
                Month(
                    month=f"{to_datetime(at):%Y-%m-%d}",
                    value=around(told, needed(seen)),
                    deals=float(wins.mean()),
                    fact=fact,
                )
            )
        misses.append((end, _miss(around(told), fact)))
        report(number)
    if not points:
        return BackTest(forecasts=0, covered=0, bias=0, error=0, points=()), 1.0
    facts = np.array([each.fact or 0.0 for each in points])
    told = np.array([each.value.value for each in points])
    held = [each.value.low <= (each.fact or 0.0) <= each.value.high for each in points]
    return (
        BackTest(
            forecasts=len(points),
            covered=float(np.mean(held)),
            bias=float(told.sum() / max(facts.sum(), 1e-9) - 1),
            error=float(np.abs(told - facts).sum() / max(facts.sum(), 1e-9)),
            points=tuple(points),
        ),
        needed([miss for _, miss in misses]),
    )


def _miss(told: Figure, fact: float) -> float:
    """Return by how much an interval had to be wider to hold the fact just so."""
    side = told.high - told.value if fact > told.value else told.value - told.low
    return abs(fact - told.value) / max(side, 1e-9)


def needed(misses: Sequence[float]) -> float:
    """Return the widening that would have held four of five."""
    if len(misses) < CHECKED:
        return 1.0
    level = min(LEVEL * (1 + 1 / len(misses)), 1.0)
    return float(np.quantile(misses, level))
