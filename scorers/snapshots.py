"""Leads as they were when something was decided, and what became of them.

A snapshot holds what was known at its instant and nothing later: it is taken from the
states of a replay that has heard only what was received by then. What became of the
lead is joined to it afterwards.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heappop, heappush
from typing import Any, Final

import msgspec

from schemas.event import Event
from schemas.score import CLIP_MARK, NO_TIER, ScoreUpdate
from schemas.time import DAY, Instant, Millis, to_instant
from scorers.accounts import AccountStep
from scorers.compiled import CompiledModel
from scorers.identity import derive_lead_id
from scorers.outcomes import Outcome, Verdict, outcome_of, verdict_of
from scorers.replay import Replay, Told
from scorers.scorer import Reading, read
from scorers.state import LeadState

FIRST: Final = "first"
SCHEDULED: Final = "scheduled"
ALERT: Final = "alert"
TIER: Final = "tier"

AGE: Final = "days known"
"""For how long a lead had been known, where leads are looked at again and again."""

MAX_TRAITS: Final = 200
"""Properties of a lead that are looked at; more would not be read by anybody."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A lead at the instant of a decision."""

    lead_id: str
    at: Instant
    why: str
    """first, scheduled, alert:<name> or tier:<name>."""
    score: float
    tier: str
    groups: dict[str, float] = {}
    points: dict[str, float] = {}
    """What each rule gave, after decay and its own maximum, before caps."""
    known: dict[str, Any] = {}
    """The lead's properties as they were known then, and how often it did what."""
    model: str = ""
    """Digest of the model that scored it."""
    owner: str = ""


class Seen(msgspec.Struct, frozen=True):
    """A snapshot with the state behind it, which is read again by other models."""

    snapshot: Snapshot
    state: LeadState


class Instants(msgspec.Struct, frozen=True, kw_only=True):
    """When leads are looked at."""

    after: Millis | None = None
    """Once, so long after the lead was first seen."""
    every: Millis | None = None
    """Again and again at this distance, on whole multiples since 1970."""
    alerts: bool = False
    tiers: bool = False
    """Whenever a tier is entered from below."""


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot and what became of the lead."""

    snapshot: Snapshot
    verdict: Verdict | None
    """None where it is still open."""
    state: LeadState | None = None


class Chronicle:
    """Snapshots and outcomes of everybody, as a replay of events meets them."""

    def __init__(self, model: CompiledModel, instants: Instants) -> None:
        """Begin with no lead; look at leads at `instants`."""
        self.model = model
        self.instants = instants
        self.seen: list[Seen] = []
        self.outcomes: dict[str, list[Outcome]] = {}
        self.until: Instant = 0
        """How far it is known what happened."""
        self._replay = Replay(model, wake=instants.alerts or instants.tiers)
        self._known: dict[str, dict[str, Any]] = {}
        self._due: list[tuple[Instant, str, str]] = []
        self._met: set[str] = set()

    def take(self, event: Event) -> None:
        """Hear of `event`; events come in the order of their receipt."""
        lead_id = derive_lead_id(event)
        if lead_id is None:
            return
        self.until = max(self.until, event.now)
        self._look(event.now)
        self._hear(self._replay.take(event))
        self._note(lead_id, event)
        outcome = outcome_of(event)
        if outcome is not None:
            self.outcomes.setdefault(lead_id, []).append(outcome)
        if lead_id not in self._met:
            self._met.add(lead_id)
            self._plan(lead_id, event.now)

    def finish(self, at: Instant | None = None) -> None:
        """Look at everybody who is due until `at`, the last receipt if absent."""
        end = self.until if at is None else max(at, self.until)
        self._look(end + 1)
        self._hear(self._replay.until(end))
        self.until = end

    def examples(self, horizon: Millis | None = None) -> Iterator[Example]:
        """Yield every snapshot of a lead that was open, with what became of it."""
        owners = {lead: self._today(lead) for lead in self.outcomes}
        gathered: dict[str, list[Outcome]] = {}
        for lead, told in self.outcomes.items():
            gathered.setdefault(owners[lead], []).extend(told)
        for each in self.seen:
            shot = each.snapshot
            told = gathered.get(self._today(shot.lead_id), [])
            if not is_open(told, shot.at):
                continue
            verdict = judged(told, shot.at, self.until, horizon)
            yield Example(snapshot=shot, verdict=verdict, state=each.state)

    def _today(self, lead_id: str) -> str:
        state = self._replay.find(lead_id)
        return lead_id if state is None else state.lead_id

    def _plan(self, lead_id: str, now: Instant) -> None:
        if self.instants.after is not None:
            heappush(self._due, (now + self.instants.after, lead_id, FIRST))
        if self.instants.every is not None:
            span = self.instants.every
            heappush(self._due, ((now // span + 1) * span, lead_id, SCHEDULED))

    def _look(self, now: Instant) -> None:
        """Look at whoever is due before `now`."""
        while self._due and self._due[0][0] < now:
            at, lead_id, why = heappop(self._due)
            state = self._replay.find(lead_id)
            if state is None:
                continue
            self._see(state, read(self.model, state, at), why)
            span = self.instants.every
            told = self.outcomes.get(lead_id, ())
            if why == SCHEDULED and span is not None and is_open(told, at):
                heappush(self._due, (at + span, lead_id, why))

    def _hear(self, told: Iterable[Told]) -> None:
        for step in told:
            if isinstance(step, AccountStep):
                continue
            if self.instants.tiers:
                for update in step.updates:
                    if entered(self.model, update):
                        self._stand(update, step.state, f"{TIER}:{update.tier}")
            if self.instants.alerts:
                for alert in step.alerts:
                    at = to_instant(alert.occurred_at)
                    reading = read(self.model, step.state, max(at, step.state.now))
                    self._see(step.state, reading, f"{ALERT}:{alert.alert}")

    def _stand(self, update: ScoreUpdate, state: LeadState, why: str) -> None:
        reading = read(self.model, state, max(to_instant(update.as_of), state.now))
        self._see(state, reading, why)

    def _see(self, state: LeadState, reading: Reading, why: str) -> None:
        known = dict(self._known.get(state.lead_id, {}))
        if self.instants.every is not None and state.first_at:
            known[AGE] = (reading.as_of - state.first_at) / DAY
        shot = Snapshot(
            lead_id=state.lead_id,
            at=reading.as_of,
            why=why,
            score=reading.score,
            tier=reading.tier,
            groups=reading.groups,
            points={
                line.rule: line.points
                for line in reading.ledger
                if not line.rule.startswith(CLIP_MARK)
            },
            known=known,
            model=self.model.digest,
            owner=state.owner or "",
        )
        self.seen.append(Seen(shot, state))

    def _note(self, lead_id: str, event: Event) -> None:
        """Remember what is known of a lead beside what its model reads."""
        state = self._replay.find(lead_id)
        known = self._known.setdefault(lead_id if state is None else state.lead_id, {})
        for name, value in event.traits.items():
            if isinstance(value, str | int | float | bool) and (
                name in known or len(known) < MAX_TRAITS
            ):
                known[name] = value
        if event.type != "identify" and outcome_of(event) is None:
            name = f"times {event.name or event.type}"
            if name in known or len(known) < MAX_TRAITS:
                known[name] = known.get(name, 0) + 1


def entered(model: CompiledModel, update: ScoreUpdate) -> bool:
    """Say whether the lead rose into a tier with this update."""
    return rose([name for name, _ in model.tiers], update.previous_tier, update.tier)


def rose(tiers: list[str], before: str, after: str) -> bool:
    """Say whether `after` is a better tier than `before`; the best stands first."""
    if after in {NO_TIER, before} or after not in tiers:
        return False
    return before not in tiers or tiers.index(after) < tiers.index(before)


def is_open(outcomes: Iterable[Outcome], at: Instant) -> bool:
    """Say whether nothing had become of a lead at an instant."""
    return verdict_of(outcomes, -1, at) is None


def judged(
    outcomes: Iterable[Outcome],
    at: Instant,
    until: Instant,
    horizon: Millis | None = None,
) -> Verdict | None:
    """Return what became of a lead after `at`; None where it cannot be known yet.

    With a `horizon` it is lost that was not won within it, and open only where the
    horizon has not passed. Without, whoever has come to nothing yet is open.
    """
    if horizon is None:
        return verdict_of(outcomes, at, until)
    end = at + horizon
    verdict = verdict_of(outcomes, at, min(end, until))
    if verdict is not None and (verdict.won or end <= until):
        return verdict
    return Verdict(won=False, at=end) if end <= until else None


def chronicle_of(
    model: CompiledModel,
    events: Iterable[Event],
    instants: Instants,
    *,
    report: Callable[[int], None] = lambda _: None,
) -> Chronicle:
    """Return what a replay of `events`, in the order of receipt, comes to."""
    chronicle = Chronicle(model, instants)
    done = 0
    for done, event in enumerate(events, start=1):
        chronicle.take(event)
        if done % 256 == 0:
            report(done)
    report(done)
    chronicle.finish()
    return chronicle


def rescored(
    model: CompiledModel, state: LeadState, at: Instant
) -> tuple[float, str, Mapping[str, float]]:
    """Return what another model says of a state: score, tier and groups."""
    reading = read(model, state, at)
    return reading.score, reading.tier, reading.groups
