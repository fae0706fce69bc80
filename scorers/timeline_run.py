"""Running timelines: what came of a test of a model, and what was wrong with it.

A timeline is run through the core itself, so it says what the live product will do.
Time 0 is Monday, 2026-01-05, 00:00 UTC.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from schemas import vocabulary
from schemas.alert import Alert
from schemas.event import Event, EventType
from schemas.time import DAY, Instant, to_datetime
from scorers.account_notice import by_strength
from scorers.account_state import AccountState
from scorers.belonging import account_id_of
from scorers.compiled import CompiledModel
from scorers.conditions import compile_test
from scorers.explain import LedgerLine
from scorers.facts import trait_text
from scorers.free_mail import company_domain
from scorers.identity import lead_id_of
from scorers.parts import tell_duration
from scorers.predicate import Test
from scorers.replay import Replay, Told
from scorers.scorer import Reading, read
from scorers.state import LeadState
from scorers.step import Decision
from scorers.timeline import THE_LEAD, Expectation, Happening, Timeline, Wanted

START: Final[Instant] = 20_458 * DAY
"""Time 0 of every timeline: a Monday, at midnight."""


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
    run = _Run(model, wake=any(item.account for item in timeline.expect))
    inputs = sorted(_inputs(timeline), key=lambda given: given.now)
    misses: list[Miss] = []
    taken = 0
    for expectation in sorted(timeline.expect, key=lambda item: item.at):
        at = START + expectation.at
        if at > run.now:
            run.forget()
        while taken < len(inputs) and inputs[taken].now <= at:
            run.take(inputs[taken])
            taken += 1
        run.wait(at)
        misses += _misses(run, expectation, timeline.tolerance)
    return Outcome(timeline.name, tuple(misses))


class _Withdrawal(msgspec.Struct, frozen=True):
    """Events of a lead that are taken back."""

    now: Instant
    user_id: str
    event_ids: tuple[str, ...]


class _Run:
    """The leads of a timeline, and what was told since somebody last looked."""

    def __init__(self, model: CompiledModel, *, wake: bool) -> None:
        """Begin with nobody; only an account's trend hangs on leads being woken."""
        self.now: Instant = START
        self.model = model
        self._replay = Replay(model, wake=wake)
        self._steps: dict[str, list[Told]] = {}

    def take(self, given: Event | _Withdrawal) -> None:
        if isinstance(given, Event):
            steps = self._replay.take(given)
        else:
            lead_id = lead_id_of("user_id", given.user_id)
            steps = self._replay.retract(lead_id, given.event_ids, given.now)
        for step in steps:
            self._keep(step)

    def wait(self, at: Instant) -> None:
        for step in self._replay.until(at):
            self._keep(step)
        self.now = at

    def forget(self) -> None:
        self._steps.clear()

    def _keep(self, step: Told) -> None:
        state = step.state
        of = state.lead_id if isinstance(state, LeadState) else state.account_id
        self._steps.setdefault(of, []).append(step)

    def state(self, who: str) -> LeadState:
        return self._replay.states[lead_id_of("user_id", _user_id(who))]

    def reading(self, who: str) -> Reading:
        return read(self.model, self.state(who), self.now)

    def people(self, account: AccountState) -> Iterator[tuple[str, float]]:
        """Yield an account's people by name, and their scores, the strongest first."""
        for lead_id, member in by_strength(account.members):
            known = self._replay.states[lead_id].user_ids
            yield known[0].removeprefix(_USER), member.score

    def account(self, name: str) -> AccountState | None:
        """Return the account of this CRM id or mail domain, None if there is none."""
        domain = company_domain(name) or name
        ids = account_id_of("account", name), account_id_of("domain", domain)
        found = (self._replay.accounts.get(account_id) for account_id in ids)
        return next(filter(None, found), None)

    def alerts(self, of: str) -> list[Alert]:
        """Return what was told of the lead or account with the id `of`."""
        steps = self._steps.get(of, ())
        return [alert for step in steps for alert in step.alerts]

    def decisions(self, of: str) -> list[Decision]:
        steps = self._steps.get(of, ())
        return [decision for step in steps for decision in step.decisions]


_USER: Final = "lead "


def _user_id(who: str) -> str:
    """Return a legal user id: a lead may well be called `unknown` in a test."""
    return f"{_USER}{who}"


def _inputs(timeline: Timeline) -> Iterator[Event | _Withdrawal]:
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
    named = {happening.id: happening for happening in timeline.events}
    for number, happening in enumerate(timeline.events):
        if happening.withdraw is not None:
            meant = named[happening.withdraw]
            place = timeline.events.index(meant)
            ids = (_event_id(place, time) for time in range(meant.times))
            at = START + happening.at
            yield _Withdrawal(at, _user_id(meant.who), tuple(ids))
            continue
        for time in range(happening.times):
            at = START + happening.at + time * (happening.every or 0)
            yield _event(happening, _event_id(number, time), at)


def _event_id(number: int, time: int) -> str:
    return f"{number}-{time}"


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
    if expectation.account is not None:
        yield from _account_misses(run, expectation, tolerance)
        return
    reading = run.reading(expectation.subject)
    found = (
        *_about_score(reading, expectation, tolerance),
        *_about_lead(run, reading, expectation),
        *_about_alerts(run, reading.lead_id, expectation),
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
    yield from _about_number("score", expectation.score, reading.score, tolerance)
    for name, value in expectation.groups.items():
        points = reading.groups.get(name, 0.0)
        yield from _about_number(f"groups.{name}", value, points, tolerance)


def _about_number(
    what: str, wanted: Wanted | None, got: float, tolerance: float
) -> Iterator[_Difference]:
    if wanted is None:
        return
    if isinstance(wanted, Test):
        if not compile_test(wanted)(got):
            asked = wanted.model_dump(by_alias=True, exclude_unset=True)
            text = ", ".join(f"{key} {bound}" for key, bound in asked.items())
            yield what, text, f"{got:g}"
    elif abs(got - wanted) > tolerance + 1e-9:
        yield what, f"{wanted:g}", f"{got:g}"


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


def _about_alerts(
    run: _Run, of: str, expectation: Expectation
) -> Iterator[_Difference]:
    alerts = run.alerts(of)
    told = ", ".join(f"{alert.alert} ({alert.reason})" for alert in alerts) or "none"
    barred = expectation.no_alert
    if barred is True and alerts:
        yield "no_alert", "none", told
    elif isinstance(barred, str) and any(a.alert == barred for a in alerts):
        yield "no_alert", f"no {barred}", told
    if expectation.alert is None:
        if expectation.reason is not None:
            reasons = [item.reason for item in run.decisions(of)]
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


def _account_misses(
    run: _Run, expectation: Expectation, tolerance: float
) -> Iterator[Miss]:
    assert expectation.account is not None
    name, at = expectation.account, tell_duration(expectation.at)
    account = run.account(name)
    if account is None:
        lacking = "the model has no accounts" if run.model.accounts is None else "none"
        yield Miss(at, name, "account", name, lacking, 0.0, ())
        return
    ledger = tuple(
        LedgerLine(group="people", rule=who, points=score)
        for who, score in run.people(account)
    )
    for what, expected, got in (
        *_about_account(account, expectation, tolerance),
        *_about_alerts(run, account.account_id, expectation),
    ):
        score = account.published.score
        yield Miss(at, name, what, expected, got, score, ledger)


def _about_account(
    account: AccountState, expectation: Expectation, tolerance: float
) -> Iterator[_Difference]:
    now = account.published
    for what, wanted, got in (
        ("score", expectation.score, now.score),
        ("members", expectation.members, now.members),
        ("active", expectation.active, now.active),
        ("trend", expectation.trend, now.trend),
    ):
        yield from _about_number(what, wanted, got, tolerance)
    if expectation.tier not in {None, now.tier}:
        yield "tier", str(expectation.tier), now.tier
    if expectation.qualified not in {None, now.qualified}:
        told = str(now.qualified).lower()
        yield "qualified", str(expectation.qualified).lower(), told
