"""A new state in the making: settled up to an instant, then decided and published.

The reducer (`scorers.scorer`) makes a draft of the state that it is given, settles it,
changes it by the input, and concludes.
"""

import copy
from bisect import bisect_right
from collections.abc import Callable

import msgspec

from schemas.account import MemberUpdate
from schemas.alert import Alert
from schemas.command import Command
from schemas.event import Event
from schemas.score import Cause, CauseKind, MachineReason, Reason, ScoreUpdate
from schemas.time import Instant, to_datetime
from scorers import (
    alerting,
    belonging,
    explain,
    memory,
)
from scorers.alert_rules import CompiledAlert
from scorers.compiled import CompiledModel
from scorers.crossing import first_exit
from scorers.curve import NEVER, Curve
from scorers.facts import trait_text
from scorers.machine_notes import not_counted
from scorers.notice import alert_of, identifiers_of
from scorers.reading import curve_of, group_points, onward
from scorers.state import AlertState, LeadState
from scorers.step import Decision, Outcome, Step
from scorers.withholding import withheld

_SILENT_REASONS = frozenset({"not-hot"})
"""Decisions that are not news: nearly every lead is not hot, all the time."""


class _Moment(msgspec.Struct, frozen=True):
    """What is so at the instant of an alert."""

    at: Instant
    score: float
    grade: str
    reasons: tuple[Reason, ...]
    event: Event | None
    settling: bool
    """Whether it came with time alone, not with the input."""


class Draft:
    """A new state in the making, and what becomes true on the way."""

    def __init__(self, model: CompiledModel, state: LeadState, now: Instant) -> None:
        self.model = model
        self.origin = (model, state)
        self.state = copy.copy(state)
        self.now = max(now, state.now)
        self.withdrawing = False
        self.updates: list[ScoreUpdate] = []
        self.alerts: list[Alert] = []
        self.decisions: list[Decision] = []
        self.belonging: belonging.Belonging | None = None
        """The account that the lead belongs to, by the last look."""
        self.members: tuple[MemberUpdate, ...] = ()
        self.commands: tuple[Command, ...] = ()
        self.machines: tuple[MachineReason, ...] = ()

    def curve(self, at: Instant) -> Curve:
        """Return the state's curve from `at` on."""
        return curve_of(self.model, self.state, at)

    def onward(self, curve: Curve) -> Curve:
        """Return the curve that follows where `curve` ends."""
        return onward(self.model, self.state, curve)

    def step(self, outcome: Outcome = "scored") -> Step:
        """Return the draft as what follows from the input."""
        return Step(
            state=self.state,
            outcome=outcome,
            updates=tuple(self.updates),
            alerts=tuple(self.alerts),
            decisions=tuple(self.decisions),
            members=self.members,
            commands=self.commands,
            machines=self.machines,
        )


def next_change_of(curve: Curve, following: Callable[[Curve], Curve]) -> Instant | None:
    """Return when the published score is another one; None for never."""
    level = curve.level()
    return first_exit(curve, (level, level + 1), following).at


def settle(draft: Draft) -> Curve | None:
    """Make everything planned up to `draft.now` true, each at its own instant.

    Return the curve from there on, if it had to be worked out.
    """
    state, model, now = draft.state, draft.model, draft.now
    if state.model != model.digest:
        _adopt(draft)
        return None
    if state.wake_at is None or state.wake_at > now:
        state.now = now
        return None
    curve = draft.curve(state.now)
    while True:
        level = curve.level()
        place = bisect_right(model.thresholds, level)
        low = model.thresholds[place - 1] if place else 0
        high = model.thresholds[place] if place < len(model.thresholds) else NEVER
        high = min(high, _re_rise(draft, level))
        crossing, last = first_exit(curve, (low, high), draft.onward, now)
        deadline = _next_deadline(draft, curve.start)
        planned = [
            instant
            for instant in (crossing, deadline)
            if instant is not None and instant <= now
        ]
        if not planned:
            break
        at = min(planned)
        cause = _cause_between(draft, curve, at)
        state.now = at
        curve = last.moved(at) if last.start <= at else draft.curve(at)
        _evaluate(draft, curve, cause, None, only_tier=True)
    state.now = now
    return last.moved(now)


def _adopt(draft: Draft) -> None:
    """Let a model that the state does not know apply from `draft.now` on.

    A new lead has nothing that it could apply to. `on_model_change` is the way to
    change a known lead's model; this one only cannot settle what the old one planned.
    """
    known = draft.state.model != ""
    draft.state = copy.copy(memory.adopted(draft.model, draft.state))
    draft.state.now = draft.now
    if known:
        curve = draft.curve(draft.now)
        _evaluate(draft, curve, Cause(kind="model"), None, only_tier=False)


def _re_rise(draft: Draft, level: int) -> int:
    """Return the least level above `level` that ends a cooldown early."""
    rises = []
    for policy in draft.model.policies:
        known = _memory_of(draft.state, policy)
        if policy.kind == "hot" and known.waiting_for == "cooldown":
            rises.append(draft.model.scaled(known.told_score * (1 + policy.re_rise)))
    return min((rise for rise in rises if rise > level), default=NEVER)


def _next_deadline(draft: Draft, after: Instant) -> Instant | None:
    """Return the first instant after `after` at which a policy must look again."""
    state = draft.state
    plans = [alerting.next_deadline(state.alerts, after)]
    for policy in draft.model.policies:
        memory_of = state.alerts.get(policy.name)
        if (
            policy.kind == "surge"
            and memory_of is not None
            and memory_of.phase != "out"
        ):
            plans.extend(
                at + policy.within
                for at, _, _ in state.gains
                if at + policy.within > after
            )
    return min((plan for plan in plans if plan is not None), default=None)


def _signal(draft: Draft, policy: CompiledAlert, score: float, at: Instant) -> float:
    """Return the value of what `policy` watches, at `at`."""
    state = draft.state
    if policy.kind == "surge":
        if draft.model.withholds(state.refused):
            return 0.0
        return memory.gained(state, at - policy.within)
    if policy.kind == "stage":
        stage = trait_text(state, "lifecycle_stage") or ""
        return float(stage.casefold() in policy.stages)
    return score


def _verdicts(
    draft: Draft, score: float, at: Instant
) -> list[tuple[CompiledAlert, alerting.Verdict]]:
    """Return what every policy makes of the lead at `at`."""
    state, model = draft.state, draft.model
    decide = alerting.decide_withdrawn if draft.withdrawing else alerting.decide
    verdicts: list[tuple[CompiledAlert, alerting.Verdict]] = []
    muted: set[str] = set()
    for policy in model.policies:
        known = _memory_of(state, policy)
        verdict = decide(policy, known, _signal(draft, policy, score, at), at)
        if verdict.tell and policy.name in muted:
            verdict = alerting.inhibited(known)
        if verdict.state.phase == "in":
            muted |= policy.inhibits
        verdicts.append((policy, verdict))
    present = {policy.name: verdict.state for policy, verdict in verdicts}
    for policy in model.unworked:
        watched = present.get(policy.of or "", AlertState())
        late = alerting.decide_unworked(
            policy, _memory_of(state, policy), watched, state.worked_at, at
        )
        if late is not None:
            verdicts.append((policy, late))
    return verdicts


def cause_of_time(draft: Draft) -> Cause:
    """Return why the score moves when nothing but time has come to the lead."""
    if draft.state.now >= draft.now:
        return Cause(kind="decay")
    return _cause_between(draft, draft.curve(draft.state.now), draft.now)


def _cause_between(draft: Draft, curve: Curve, until: Instant) -> Cause:
    """Return why the score moves between the curve's start and `until`."""
    latest: tuple[Instant, str] | None = None
    for piece in curve.pieces:
        for part in piece.parts:
            if part.until <= until and (latest is None or part.until > latest[0]):
                latest = (part.until, part.rule)
    for lull in curve.lulls:
        if lull.until <= until and (latest is None or lull.until > latest[0]):
            return Cause(kind="inactivity", rule=lull.dormancy)
    if latest is not None:
        rule = draft.model.by_name[latest[1]]
        kinds: dict[str, CauseKind] = {"silence": "inactivity", "absence": "absence"}
        if rule.kind in kinds:
            return Cause(kind=kinds[rule.kind], rule=rule.name)
    return Cause(kind="decay")


def conclude(
    draft: Draft, cause: Cause, event: Event | None, curve: Curve | None = None
) -> None:
    """Read the score, decide alerts, publish, and plan the next look.

    `curve` is the state's from now on, if it is known.
    """
    if curve is None:
        curve = draft.curve(draft.now)
    next_change = _evaluate(draft, curve, cause, event, only_tier=False)
    state = draft.state
    deadline = _next_deadline(draft, draft.now)
    plans = [plan for plan in (next_change, deadline) if plan is not None]
    state.wake_at = min(plans, default=None)
    if draft.model.accounts is not None:
        draft.members = belonging.members_of(
            draft.origin[1],
            state,
            draft.now,
            withdrawn=draft.withdrawing,
            belonging=draft.belonging,
            hidden=draft.model.withholds(state.refused),
        )


def _evaluate(
    draft: Draft,
    curve: Curve,
    cause: Cause,
    event: Event | None,
    *,
    only_tier: bool,
) -> Instant | None:
    """Decide where `curve` starts, publish what is new; return the next change."""
    state, model, at = draft.state, draft.model, curve.start
    score = curve.published()
    groups = group_points(curve, model)
    tier, grade = model.tier_of(score), model.grade_of(groups)
    owner = trait_text(state, "owner")
    draft.belonging = belongs = belonging.belonging_of(state, model.no_company)
    account_id = None if belongs is None else belongs.account_id
    previous, previous_tier = state.score, state.tier
    verdicts = _verdicts(draft, score, at)
    changed = (
        tier != previous_tier
        if only_tier
        else score != previous
        or tier != previous_tier
        or grade != state.grade
        or owner != state.owner
        or account_id != state.account_id
        or draft.origin[1].refused != state.refused
        or state.sequence == 0
        or cause.kind == "merge"
    )
    telling = any(verdict.tell or verdict.ended for _, verdict in verdicts)
    given = explain.reasons(model, state, curve) if changed or telling else ()
    next_change = (
        None if only_tier and not changed else next_change_of(curve, draft.onward)
    )
    if changed:
        state.sequence += 1
        state.score, state.tier = score, tier
        state.grade, state.owner = grade, owner
        state.account_id = account_id
        draft.updates.append(
            ScoreUpdate(
                lead_id=state.lead_id,
                sequence=state.sequence,
                score=score,
                previous=previous,
                delta=round(score - previous, 6),
                tier=tier,
                previous_tier=previous_tier,
                grade=grade,
                groups={name: round(points, 2) for name, points in groups.items()},
                reasons=given,
                cause=cause,
                as_of=to_datetime(at),
                next_change_at=None
                if next_change is None
                else to_datetime(next_change),
                model=model.ref,
                identifiers=identifiers_of(state),
                account_id=account_id,
                owner=owner,
                do_not_email=model.forbids(state.refused, "email"),
                ledger=explain.published_ledger(explain.ledger(curve), score),
                not_counted=not_counted(state, model.source.locale)
                if state.flagged
                else (),
                withheld=withheld(model, state, model.source.locale)
                if state.consents or state.refused
                else (),
            )
        )
    moment = _Moment(at, score, grade, given, event, only_tier)
    for policy, verdict in verdicts:
        _keep_verdict(draft, policy, verdict, moment)
    return next_change


def _memory_of(state: LeadState, policy: CompiledAlert) -> AlertState:
    return state.alerts.get(policy.name) or AlertState()


def _keep_verdict(
    draft: Draft,
    policy: CompiledAlert,
    verdict: alerting.Verdict,
    moment: _Moment,
) -> None:
    """Remember a verdict, count it, and write the alert where one is due."""
    state, model = draft.state, draft.model
    if verdict.state != _memory_of(state, policy):
        state.alerts = {**state.alerts, policy.name: verdict.state}
    if verdict.reason not in _SILENT_REASONS:
        draft.decisions.append(Decision(policy.name, verdict.reason, verdict.tell))
    told = policy if verdict.tell or verdict.recalled else None
    if verdict.ended and not verdict.recalled:
        told = model.cooled_by.get(policy.name)
        if told is not None:
            draft.decisions.append(Decision(told.name, verdict.reason, sent=True))
    if told is not None:
        facts = (moment.score, _before(draft, moment), moment.at, draft.now)
        draft.alerts.append(
            alert_of(
                model,
                state,
                told,
                threshold=policy.enter if verdict.tell else policy.leave,
                verdict=verdict,
                facts=facts,
                grade=moment.grade,
                reasons=moment.reasons,
                event=moment.event,
            )
        )


def _before(draft: Draft, moment: _Moment) -> float:
    """Return the score just before: a millisecond ago, or without the input.

    It is not the last one published, which hangs on when somebody looked.
    """
    if moment.settling:
        return draft.curve(moment.at - 1).published()
    model, state = draft.origin
    return curve_of(model, memory.adopted(model, state), moment.at).published()
