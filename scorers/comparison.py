"""Two models over the same events: who changes tier, and which alerts change.

Alerts of accounts count like those of leads.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from schemas.alert import Alert
from schemas.event import Event
from schemas.time import HOUR, Instant, Millis, to_instant
from scorers.compiled import CompiledModel
from scorers.identity import derive_lead_id
from scorers.replay import Replay, Told
from scorers.scorer import read

_WON: Final = frozenset({"deal won", "lead qualified"})
_LOST: Final = frozenset({"deal lost", "lead disqualified"})


class Sample(msgspec.Struct, frozen=True):
    """A lead's score just before its outcome became known."""

    score: float
    won: bool


class Life(msgspec.Struct, frozen=True):
    """What one model made of all the events."""

    scores: dict[str, float]
    tiers: dict[str, str]
    accounts: dict[str, str]
    """The tier of every account."""
    alerts: tuple[Alert, ...]
    samples: tuple[Sample, ...]
    start: Instant
    end: Instant

    @property
    def hours(self) -> float:
        """How long the events took, at least an hour."""
        return max(1.0, (self.end - self.start) / HOUR)


class TierChange(msgspec.Struct, frozen=True):
    """A lead that ends in another tier."""

    lead_id: str
    before: str
    after: str
    score_before: float
    score_after: float


class Moved(msgspec.Struct, frozen=True):
    """An alert that both models tell, at different instants."""

    alert: Alert
    """As the second model tells it."""
    by: Millis
    """How much later that is; negative for earlier."""


class Comparison(msgspec.Struct, frozen=True):
    """What changes from the first model to the second."""

    leads: int
    tiers: tuple[TierChange, ...]
    gained: tuple[Alert, ...]
    lost: tuple[Alert, ...]
    earlier: tuple[Moved, ...]
    later: tuple[Moved, ...]
    same: int
    before: Life
    after: Life


def live(model: CompiledModel, events: Iterable[Event]) -> Life:
    """Return what `model` makes of `events`, which are in order of their receipt."""
    replay = Replay(model, wake=False)  # alerts are the same without
    alerts: list[Alert] = []
    samples: dict[str, Sample] = {}
    start: Instant | None = None
    end: Instant = 0

    def keep(step: Told) -> None:
        alerts.extend(step.alerts)

    for event in events:
        start = event.now if start is None else start
        end = max(end, event.now)
        name = event.name.casefold()
        if name in _WON or name in _LOST:
            _sample(model, replay, event, samples, won=name in _WON)
        for step in replay.take(event):
            keep(step)
    for step in replay.until(end):
        keep(step)
    readings = {state.lead_id: reading for state, reading in replay.readings()}
    return Life(
        scores={lead: reading.score for lead, reading in readings.items()},
        tiers={lead: reading.tier for lead, reading in readings.items()},
        accounts={
            account_id: state.published.tier
            for account_id, state in replay.accounts.items()
        },
        alerts=tuple(alerts),
        samples=tuple(samples.values()),
        start=end if start is None else start,
        end=end,
    )


def _sample(
    model: CompiledModel,
    replay: Replay,
    event: Event,
    samples: dict[str, Sample],
    *,
    won: bool,
) -> None:
    """Note the score as it was before the outcome; the last outcome stands."""
    lead_id = derive_lead_id(event)
    state = None if lead_id is None else replay.find(lead_id)
    if state is not None:
        samples[state.lead_id] = Sample(read(model, state, event.now).score, won)


def compare(before: Life, after: Life) -> Comparison:
    """Return what changes from one life to the other."""
    earlier, later, gained, lost = [], [], [], []
    same = 0
    old, new = _numbered(before.alerts), _numbered(after.alerts)
    for key, alert in new.items():
        if key not in old:
            gained.append(alert)
            continue
        by = to_instant(alert.occurred_at) - to_instant(old[key].occurred_at)
        moved = Moved(alert, by)
        if by < 0:
            earlier.append(moved)
        elif by > 0:
            later.append(moved)
        else:
            same += 1
    lost = [alert for key, alert in old.items() if key not in new]
    return Comparison(
        leads=len(after.scores),
        tiers=_tier_changes(before, after),
        gained=tuple(gained),
        lost=tuple(lost),
        earlier=tuple(sorted(earlier, key=lambda moved: moved.by)),
        later=tuple(sorted(later, key=lambda moved: -moved.by)),
        same=same,
        before=before,
        after=after,
    )


def _numbered(alerts: Iterable[Alert]) -> dict[tuple[str, str, int], Alert]:
    """Return alerts by whom they are about, policy and how many were before."""
    met: Counter[tuple[str, str]] = Counter()
    numbered = {}
    for alert in sorted(alerts, key=lambda item: item.occurred_at):
        key = (alert.subject, alert.alert)
        numbered[(*key, met[key])] = alert
        met[key] += 1
    return numbered


def _tier_changes(before: Life, after: Life) -> tuple[TierChange, ...]:
    changes = [
        TierChange(
            lead, before.tiers[lead], tier, before.scores[lead], after.scores[lead]
        )
        for lead, tier in after.tiers.items()
        if lead in before.tiers and before.tiers[lead] != tier
    ]
    changes.sort(key=lambda item: -abs(item.score_after - item.score_before))
    return tuple(changes)


def busiest_hour(life: Life) -> int:
    """Return how many alerts the busiest hour of the clock had."""
    hours = Counter(to_instant(alert.occurred_at) // HOUR for alert in life.alerts)
    return max(hours.values(), default=0)


def ranking_quality(samples: Iterable[Sample]) -> float | None:
    """Return how often a lead that was won had scored higher than one that was lost.

    This is the area under the ROC curve: 1 is a perfect ranking, 0.5 is none. None
    where there is nothing to compare.

    >>> ranking_quality([Sample(70, True), Sample(20, False), Sample(80, False)])
    0.5
    """
    known = sorted(samples, key=lambda sample: sample.score)
    won = sum(sample.won for sample in known)
    lost = len(known) - won
    if not won or not lost:
        return None
    ranks = 0.0
    first = 0
    while first < len(known):
        last = first
        while last + 1 < len(known) and known[last + 1].score == known[first].score:
            last += 1
        mean_rank = (first + last) / 2 + 1
        ranks += mean_rank * sum(sample.won for sample in known[first : last + 1])
        first = last + 1
    return (ranks - won * (won + 1) / 2) / (won * lost)
