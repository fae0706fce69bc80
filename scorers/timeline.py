"""The model's own test: what happens to a lead, and what must come of it.

A timeline is run through the core itself, so it says what the live product will do.
Time 0 is Monday, 2026-01-05, 00:00 UTC.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from pydantic import Field, StrictBool, model_validator

from schemas import vocabulary
from schemas.alert import Alert
from schemas.event import Channel, Event, EventType
from schemas.time import DAY, Instant, to_datetime
from scorers.compiled import CompiledModel
from scorers.conditions import compile_test
from scorers.explain import LedgerLine
from scorers.loading import load_part
from scorers.memory import trait_text
from scorers.parts import Duration, Number, Part, PositiveDuration, tell_duration
from scorers.predicate import Test
from scorers.replay import Replay
from scorers.scorer import Reading, read
from scorers.state import LeadState
from scorers.step import Decision, Step

START: Final[Instant] = 20_458 * DAY
"""Time 0 of every timeline: a Monday, at midnight."""

THE_LEAD: Final = "lead"
"""Who it is about where a timeline names nobody."""

Wanted = Number | Test
"""A number, or operators such as {gte: 60}."""


class Person(Part):
    """What is known of a lead before anything happens."""

    traits: dict[str, Any] = {}
    """Facts, such as employees or title."""
    email: str | None = None
    """The e-mail address."""


class Happening(Part):
    """Something that happens to a lead: exactly one of page, track and identify."""

    at: Duration
    """When it happens, counted from time 0."""
    page: str | None = None
    """The path of a page that is seen."""
    track: str | None = None
    """The name of an event."""
    identify: dict[str, Any] | None = None
    """Traits that become known."""
    properties: dict[str, Any] = {}
    """Properties of the event."""
    channel: Channel | None = None
    """The channel; the one that the event's name belongs to if absent."""
    received: Duration | None = None
    """When we hear of it; at once if absent."""
    times: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 1
    """How often it happens."""
    every: PositiveDuration | None = None
    """How long it is from one time to the next."""
    who: str = THE_LEAD
    """Whom it happens to, where a timeline has several leads."""

    @model_validator(mode="after")
    def _one_kind(self) -> "Happening":
        given = [kind for kind in ("page", "track", "identify") if getattr(self, kind)]
        if len(given) != 1:
            msg = "needs exactly one of page, track, identify"
            raise ValueError(msg)
        if self.times > 1 and self.every is None:
            msg = "times needs `every`: how long from one to the next"
            raise ValueError(msg)
        return self


class Expectation(Part):
    """What must be true at an instant."""

    at: Duration
    """When we look."""
    who: str = THE_LEAD
    """At whom we look, where a timeline has several leads."""
    score: Wanted | None = None
    """The score: a number, or operators such as {gte: 60}."""
    tier: str | None = None
    """The tier; none where it has none."""
    grade: str | None = None
    """The grade, such as A1."""
    groups: dict[str, Wanted] = {}
    """Points of groups, after their caps."""
    alert: str | None = None
    """An alert that was told since we last looked."""
    no_alert: str | StrictBool | None = None
    """An alert that was not; true for no alert at all."""
    reason: str | None = None
    """Why that alert was told; without `alert`, why any decision was made."""
    because: list[str] = []
    """Rules that are among the reasons for the score."""
    not_because: list[str] = []
    """Rules that are not."""
    stage: str | None = None
    """The stage of the journey."""
    next_action: str | None = None
    """A part of the next action that the alert names."""
    ranking: list[str] = []
    """Leads from the highest score to the lowest; no two may be equal."""

    @model_validator(mode="after")
    def _something_asked(self) -> "Expectation":
        if not self.model_fields_set - {"at", "who"}:
            msg = "expects nothing: add score, tier, grade, groups, alert, …"
            raise ValueError(msg)
        if self.next_action is not None and self.alert is None:
            msg = "next_action is read from an alert: say which `alert`"
            raise ValueError(msg)
        return self

    @property
    def subject(self) -> str:
        """Whom it is about; of a ranking that names nobody else, the first."""
        if self.ranking and "who" not in self.model_fields_set:
            return self.ranking[0]
        return self.who


class Timeline(Part):
    """One test: a sentence, what happens, and what must come of it."""

    name: str = Field(min_length=1)
    """What is being shown, in one sentence."""
    lead: Person = Field(default_factory=Person)
    """The lead."""
    leads: dict[str, Person] = {}
    """Several leads by name, in place of `lead`."""
    events: list[Happening] = []
    """What happens."""
    expect: Annotated[list[Expectation], Field(min_length=1)]
    """What must be true."""
    tolerance: Annotated[float, Field(strict=True, ge=0, le=10)] = 0.05
    """How far off a number may be."""

    @model_validator(mode="after")
    def _known_people(self) -> "Timeline":
        known = set(self.leads) or {THE_LEAD}
        named = {event.who for event in self.events}
        for item in self.expect:
            named |= {item.subject, *item.ranking}
        if strangers := sorted(named - known):
            msg = f"there is no lead {strangers[0]!r}; there is {', '.join(known)}"
            raise ValueError(msg)
        return self


class Timelines(Part):
    """A file of tests beside a model."""

    tests: Annotated[list[Timeline], Field(min_length=1)]
    """The tests."""


def load_timelines(text: str, source: str) -> Timelines:
    """Return the tests that `text` describes; `source` is its name in messages.

    Raises
    ------
    ModelError
        With every problem there is, not only the first.
    """
    return load_part(Timelines, text, source)


class Miss(msgspec.Struct, frozen=True):
    """An expectation that did not come true."""

    at: str
    who: str
    what: str
    expected: str
    got: str
    score: float
    ledger: tuple[LedgerLine, ...]


class Outcome(msgspec.Struct, frozen=True):
    """What a timeline came to; without misses it holds."""

    name: str
    misses: tuple[Miss, ...]


def run_timeline(model: CompiledModel, timeline: Timeline) -> Outcome:
    """Return what came of `timeline` under `model`."""
    run = _Run(model)
    events = sorted(_events(timeline), key=lambda event: event.now)
    misses: list[Miss] = []
    taken = 0
    for expectation in sorted(timeline.expect, key=lambda item: item.at):
        at = START + expectation.at
        if at > run.now:
            run.forget()
        while taken < len(events) and events[taken].now <= at:
            run.take(events[taken])
            taken += 1
        run.wait(at)
        misses += _misses(run, expectation, timeline.tolerance)
    return Outcome(timeline.name, tuple(misses))


class _Run:
    """The leads of a timeline, and what was told since somebody last looked."""

    def __init__(self, model: CompiledModel) -> None:
        self.now: Instant = START
        self._model = model
        self._replay = Replay(model, wake=False)
        self._ids: dict[str, str] = {}
        self._steps: dict[str, list[Step]] = {}

    def take(self, event: Event) -> None:
        for step in self._replay.take(event):
            self._keep(step)
        assert event.user_id is not None
        self._ids[event.user_id] = step.state.lead_id

    def wait(self, at: Instant) -> None:
        for step in self._replay.until(at):
            self._keep(step)
        self.now = at

    def forget(self) -> None:
        self._steps.clear()

    def _keep(self, step: Step) -> None:
        self._steps.setdefault(step.state.lead_id, []).append(step)

    def state(self, who: str) -> LeadState:
        return self._replay.states[self._ids[_user_id(who)]]

    def reading(self, who: str) -> Reading:
        return read(self._model, self.state(who), self.now)

    def alerts(self, who: str) -> list[Alert]:
        steps = self._steps.get(self.state(who).lead_id, ())
        return [alert for step in steps for alert in step.alerts]

    def decisions(self, who: str) -> list[Decision]:
        steps = self._steps.get(self.state(who).lead_id, ())
        return [decision for step in steps for decision in step.decisions]


def _user_id(who: str) -> str:
    """Return a legal user id: a lead may well be called `unknown` in a test."""
    return f"lead {who}"


def _events(timeline: Timeline) -> Iterator[Event]:
    people = timeline.leads or {THE_LEAD: timeline.lead}
    for who, person in people.items():
        yield Event(
            id=f"{who}-known",
            type="identify",
            channel="crm",
            user_id=_user_id(who),
            email=person.email,
            traits=person.traits,
            occurred_at=to_datetime(START),
        )
    for number, happening in enumerate(timeline.events):
        for time in range(happening.times):
            at = START + happening.at + time * (happening.every or 0)
            yield _event(happening, f"{number}-{time}", at)


def _event(happening: Happening, event_id: str, at: Instant) -> Event:
    properties = dict(happening.properties)
    if happening.page is not None:
        kind: EventType = "page"
        name = str(properties.get("title", happening.page))
        properties.setdefault("path", happening.page)
    elif happening.track is not None:
        kind, name = "track", vocabulary.spell(happening.track)
    else:
        kind, name = "identify", ""
    heard = at if happening.received is None else START + happening.received
    return Event(
        id=event_id,
        type=kind,
        name=name,
        channel=happening.channel or vocabulary.channel_of(kind, name, properties),
        user_id=_user_id(happening.who),
        properties=properties,
        traits=happening.identify or {},
        occurred_at=to_datetime(at),
        received_at=to_datetime(max(at, heard)),
    )


def _misses(run: _Run, expectation: Expectation, tolerance: float) -> Iterator[Miss]:
    reading = run.reading(expectation.subject)
    found = (
        *_about_score(reading, expectation, tolerance),
        *_about_lead(run, reading, expectation),
        *_about_alerts(run, expectation),
    )
    for what, expected, got in found:
        yield Miss(
            tell_duration(expectation.at),
            expectation.subject,
            what,
            expected,
            got,
            reading.score,
            reading.ledger,
        )


_Difference = tuple[str, str, str]
"""What was looked at, what was expected of it, and what it was."""


def _about_score(
    reading: Reading, expectation: Expectation, tolerance: float
) -> Iterator[_Difference]:
    wanted = {("score", reading.score): expectation.score} | {
        (f"groups.{name}", reading.groups.get(name, 0.0)): value
        for name, value in expectation.groups.items()
    }
    for (what, got), value in wanted.items():
        if value is None:
            continue
        if isinstance(value, Test):
            if not compile_test(value)(got):
                asked = value.model_dump(by_alias=True, exclude_unset=True)
                text = ", ".join(f"{key} {bound}" for key, bound in asked.items())
                yield what, text, f"{got:g}"
        elif abs(got - value) > tolerance + 1e-9:
            yield what, f"{value:g}", f"{got:g}"


def _about_lead(
    run: _Run, reading: Reading, expectation: Expectation
) -> Iterator[_Difference]:
    stage = trait_text(run.state(expectation.subject), "lifecycle_stage") or ""
    for what, expected, got in (
        ("tier", expectation.tier, reading.tier),
        ("grade", expectation.grade, reading.grade),
        ("stage", expectation.stage, stage),
    ):
        if expected is not None and expected != got:
            yield what, expected, got or "none"
    given = [reason.rule for reason in reading.reasons]
    for rule in expectation.because:
        if rule not in given:
            yield "because", rule, ", ".join(given) or "no reason at all"
    for rule in expectation.not_because:
        if rule in given:
            yield "not_because", f"not {rule}", ", ".join(given)
    if expectation.ranking:
        scores = {who: run.reading(who).score for who in expectation.ranking}
        ranked = sorted(scores.values(), reverse=True)
        if list(scores.values()) != ranked or len(set(ranked)) != len(ranked):
            got = ", ".join(f"{who} {score:g}" for who, score in scores.items())
            yield "ranking", " > ".join(expectation.ranking), got


def _about_alerts(run: _Run, expectation: Expectation) -> Iterator[_Difference]:
    alerts = run.alerts(expectation.subject)
    told = ", ".join(f"{alert.alert} ({alert.reason})" for alert in alerts) or "none"
    barred = expectation.no_alert
    if barred is True and alerts:
        yield "no_alert", "none", told
    elif isinstance(barred, str) and any(a.alert == barred for a in alerts):
        yield "no_alert", f"no {barred}", told
    if expectation.alert is None:
        if expectation.reason is not None:
            reasons = [item.reason for item in run.decisions(expectation.subject)]
            if expectation.reason not in reasons:
                yield "reason", expectation.reason, ", ".join(reasons) or "none"
        return
    named = [alert for alert in alerts if alert.alert == expectation.alert]
    if not named:
        yield "alert", expectation.alert, told
        return
    if expectation.reason not in {None, *(alert.reason for alert in named)}:
        yield "reason", str(expectation.reason), named[-1].reason
    action = expectation.next_action
    if action is not None and action not in named[-1].next_action:
        yield "next_action", action, named[-1].next_action or "none"
