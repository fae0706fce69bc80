"""Whether the ranking works: what leads came to, by tier, by score, by model.

Each lead counts once, as it stood at its best while nothing had become of it yet:
what was known then is no outcome, so nothing foretells itself.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from math import sqrt
from typing import Final

import msgspec
from msgspec.structs import replace

from schemas.score import NO_TIER
from schemas.time import Instant, to_instant
from schemas.topics import TRAINING, Topic
from schemas.training import TrainingRecord, TrainingSnapshot
from scorers.comparison import Sample, ranking_quality
from scorers.snapshots import Example
from scorers.training import examples_of
from streams.learning.currencies import most_named

ENOUGH: Final = 20
"""Leads of either kind without which a curve says nothing."""
_Z: Final = 1.959964
_BANDS: Final = 10
_SHOTS: Final = 40
_CURVE: Final = 40
_BINS: Final = 8
_LIFTS: Final = (5, 10, 20, 30, 50)


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A share of some leads, with its 95 % interval (Wilson's)."""

    value: float
    low: float
    high: float


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the decided leads: those of a tier, or of a band of scores."""

    name: str
    leads: int
    won: int
    share: Share
    amount: float
    """What the won ones brought, where that was said."""


class Lift(msgspec.Struct, frozen=True, kw_only=True):
    """How much better the best so many percent do than anybody."""

    percent: int
    lift: float
    captured: float
    """The share of all that were won that is among them."""


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """Leads of which the same was foretold, and what happened."""

    foretold: float
    fact: Share
    leads: int


class ModelFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How well one version of the model ranked."""

    digest: str
    leads: int
    won: int
    auc: Share | None
    """None where there is nothing to compare."""
    lift_20: float | None
    first_at: Instant
    last_at: Instant


class RankingReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the ranking did on the leads of which it is known what they came to."""

    leads: int
    won: int
    known: int
    """Leads in the training log, decided or not."""
    amount: float
    """What those won in `currency`, or in none that was named, brought."""
    currency: str
    """The one that most of those who were won paid in."""
    otherwise: int
    """Leads won in other currencies: in the counts, and in no amount."""
    until: Instant | None
    auc: Share | None
    tiers: tuple[Part, ...]
    bands: tuple[Part, ...]
    gains: tuple[tuple[float, float], ...]
    """Which share of the won one meets by following the ranking so far."""
    lifts: tuple[Lift, ...]
    reliability: tuple[Bin, ...]
    """Foretold by the earlier half of the leads, judged by the later half."""
    models: tuple[ModelFigures, ...]

    @property
    def is_telling(self) -> bool:
        """Whether there are enough leads of either kind for curves."""
        return min(self.won, self.leads - self.won) >= ENOUGH


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A decided lead at its best before the decision."""

    score: float
    tier: str
    model: str
    at: Instant
    won: bool
    amount: float
    currency: str


class RankingBook:
    """The training log, of each decided lead as little as the figures need.

    It is written by one thread and read by others.
    """

    topics = (TRAINING,)

    def __init__(self) -> None:
        """Know nothing yet."""
        self._lock = threading.Lock()
        self._decided: dict[str, TrainingRecord] = {}
        self._open: set[str] = set()
        self._until: Instant = 0

    def take(self, topic: Topic, key: str, value: bytes | None) -> None:  # noqa: ARG002
        """Take in a record; a tombstone is somebody who was erased."""
        with self._lock:
            if value is None:
                self._decided.pop(key, None)
                self._open.discard(key)
                return
            try:
                record = _RECORD.decode(value)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return
            self._until = max(self._until, _last(record))
            if record.outcomes or record.merged_into is not None:
                self._decided[key] = _slim(record)
                self._open.discard(key)
            else:
                self._decided.pop(key, None)
                self._open.add(key)

    def report(self, tiers: Sequence[str]) -> RankingReport:
        """Return the figures; `tiers` names those of the model, the best first."""
        with self._lock:
            records = list(self._decided.values())
            known, until = len(self._decided) + len(self._open), self._until
        return ranking_report(
            standings(examples_of(records, until)), tiers, known=known, until=until
        )


def standings(examples: Iterable[Example]) -> list[Standing]:
    """Return every decided lead once, at the highest score it had while open."""
    best: dict[str, Example] = {}
    for each in examples:
        if each.verdict is None:
            continue
        before = best.get(each.snapshot.lead_id)
        if before is None or each.snapshot.score > before.snapshot.score:
            best[each.snapshot.lead_id] = each
    return [
        Standing(
            score=each.snapshot.score,
            tier=each.snapshot.tier,
            model=each.snapshot.model,
            at=each.snapshot.at,
            won=each.verdict.won,
            amount=(each.verdict.amount or 0.0) if each.verdict.won else 0.0,
            currency=each.verdict.currency,
        )
        for each in best.values()
        if each.verdict is not None
    ]


def ranking_report(
    found: Sequence[Standing], tiers: Sequence[str], *, known: int, until: Instant
) -> RankingReport:
    """Return what the standings of decided leads say of the ranking."""
    paid = Counter(each.currency for each in found if each.won and each.currency)
    currency = most_named(paid)
    otherwise = paid.total() - paid[currency]
    # Two currencies are never added up.
    found = [
        replace(each, amount=0.0) if each.currency not in {"", currency} else each
        for each in found
    ]
    won = sum(each.won for each in found)
    ordered = sorted(found, key=lambda each: -each.score)
    telling = min(won, len(found) - won) >= ENOUGH
    return RankingReport(
        leads=len(found),
        won=won,
        known=known,
        amount=sum(each.amount for each in found),
        currency=currency,
        otherwise=otherwise,
        until=until or None,
        auc=_auc(found),
        tiers=tuple(_tiers(found, tiers)),
        bands=tuple(_bands(found)),
        gains=tuple(_gains(ordered)) if telling else (),
        lifts=tuple(_lift(ordered, percent) for percent in _LIFTS) if telling else (),
        reliability=tuple(_reliability(found)) if telling else (),
        models=tuple(_models(found)),
    )


def wilson(part: int, whole: int) -> Share:
    """Return a share with its 95 % interval.

    >>> share = wilson(5, 10)
    >>> round(share.low, 2), share.value, round(share.high, 2)
    (0.24, 0.5, 0.76)
    """
    if not whole:
        return Share(value=0.0, low=0.0, high=1.0)
    share, square = part / whole, _Z * _Z
    middle = (share + square / (2 * whole)) / (1 + square / whole)
    spread = share * (1 - share) / whole + square / (4 * whole * whole)
    half = _Z * sqrt(spread) / (1 + square / whole)
    return Share(value=share, low=max(middle - half, 0.0), high=min(middle + half, 1.0))


def _part(name: str, own: Sequence[Standing]) -> Part:
    won = sum(each.won for each in own)
    return Part(
        name=name,
        leads=len(own),
        won=won,
        share=wilson(won, len(own)),
        amount=sum(each.amount for each in own),
    )


def _tiers(found: Sequence[Standing], tiers: Sequence[str]) -> Iterable[Part]:
    met = dict.fromkeys([*tiers, *sorted({each.tier for each in found}), NO_TIER])
    met.pop(NO_TIER)
    for tier in [*met, NO_TIER]:
        own = [each for each in found if each.tier == tier]
        if own or tier in tiers:
            yield _part(tier, own)


def _bands(found: Sequence[Standing]) -> Iterable[Part]:
    """Yield ten bands of ten points each; the highest holds 100, too."""
    width = 100 // _BANDS
    for place in range(_BANDS):
        own = [
            each for each in found if min(int(each.score // width), _BANDS - 1) == place
        ]
        yield _part(f"{place * width}–{(place + 1) * width}", own)


def _gains(ordered: Sequence[Standing]) -> Iterable[tuple[float, float]]:
    won = sum(each.won for each in ordered)
    met, last = 0, 0
    for step in range(_CURVE + 1):
        upto = len(ordered) * step // _CURVE
        met += sum(each.won for each in ordered[last:upto])
        last = upto
        yield upto / len(ordered), met / won


def _lift(ordered: Sequence[Standing], percent: int) -> Lift:
    """Return the lift of the best; of a score that is cut through its share counts."""
    wanted = len(ordered) * percent / 100
    met, place = 0.0, 0
    while place < len(ordered) and place < wanted:
        same = [each for each in ordered[place:] if each.score == ordered[place].score]
        share = min(len(same), wanted - place) / len(same)
        met += share * sum(each.won for each in same)
        place += len(same)
    captured = met / max(sum(each.won for each in ordered), 1)
    return Lift(percent=percent, lift=captured / (percent / 100), captured=captured)


def _reliability(found: Sequence[Standing]) -> list[Bin]:
    """Return what the earlier half says of scores, and what happened to the later.

    Scores begin as eight bins; neighbours of which the higher was won less often are
    one, for a higher score foretells no less (pool adjacent violators).
    """
    in_time = sorted(found, key=lambda each: each.at)
    half = len(in_time) // 2
    learnt, judged = in_time[:half], in_time[half:]
    base = sum(each.won for each in learnt) / max(len(learnt), 1)
    scores = sorted(each.score for each in learnt)
    edges = sorted({scores[len(scores) * step // _BINS] for step in range(1, _BINS)})
    pools: list[tuple[list[bool], list[bool]]] = []
    for place in range(len(edges) + 1):
        low = edges[place - 1] if place else float("-inf")
        high = edges[place] if place < len(edges) else float("inf")
        then = [each.won for each in learnt if low <= each.score < high]
        now = [each.won for each in judged if low <= each.score < high]
        pools.append((then, now))
        while len(pools) > 1 and _rate(pools[-2][0], base) >= _rate(pools[-1][0], base):
            last = pools.pop()
            pools[-1] = pools[-1][0] + last[0], pools[-1][1] + last[1]
    return [
        Bin(foretold=_rate(then, base), fact=wilson(sum(now), len(now)), leads=len(now))
        for then, now in pools
        if now
    ]


def _rate(won: Sequence[bool], base: float) -> float:
    """Return the share that was won; a little of the base, so few are no certainty."""
    return (sum(won) + base) / (len(won) + 1)


def _models(found: Sequence[Standing]) -> Iterable[ModelFigures]:
    """Yield each model's figures, the one that was at work last first."""
    parts: dict[str, list[Standing]] = {}
    for each in found:
        parts.setdefault(each.model, []).append(each)
    figures = []
    for digest, own in parts.items():
        won = sum(each.won for each in own)
        ordered = sorted(own, key=lambda each: -each.score)
        telling = min(won, len(own) - won) >= ENOUGH
        figures.append(
            ModelFigures(
                digest=digest,
                leads=len(own),
                won=won,
                auc=_auc(own) if telling else None,
                lift_20=_lift(ordered, 20).lift if telling else None,
                first_at=min(each.at for each in own),
                last_at=max(each.at for each in own),
            )
        )
    return sorted(figures, key=lambda each: -each.last_at)


def _auc(found: Sequence[Standing]) -> Share | None:
    """Return the area under the ROC curve with the interval of Hanley and McNeil."""
    area = ranking_quality(Sample(each.score, each.won) for each in found)
    if area is None:
        return None
    won = sum(each.won for each in found)
    lost = len(found) - won
    both_won, both_lost = area / (2 - area), 2 * area * area / (1 + area)
    spread = (
        area * (1 - area)
        + (won - 1) * (both_won - area * area)
        + (lost - 1) * (both_lost - area * area)
    ) / (won * lost)
    half = _Z * sqrt(max(spread, 0.0))
    return Share(value=area, low=max(area - half, 0.0), high=min(area + half, 1.0))


def _slim(record: TrainingRecord) -> TrainingRecord:
    """Return the record without what these figures do not need."""
    return replace(
        record,
        snapshots=tuple(map(_slim_shot, record.snapshots[-_SHOTS:])),
        recent=tuple(map(_slim_shot, record.recent)) if record.waiting else (),
    )


def _slim_shot(shot: TrainingSnapshot) -> TrainingSnapshot:
    return replace(shot, groups={}, points={}, known={})


def _last(record: TrainingRecord) -> Instant:
    moments: list[datetime] = [each.at for each in record.outcomes]
    moments += [shot.at for shot in (*record.recent[-1:], *record.snapshots[-1:])]
    return max(map(to_instant, moments), default=0)


_RECORD: Final = msgspec.json.Decoder(TrainingRecord)
