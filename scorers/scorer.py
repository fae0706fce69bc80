"""The reducer: (model, state, input, now) → the step that follows.

Settle first, then apply. Everything planned up to `now` — tier crossings, ends of
dwell and cooldown, absence deadlines, steps of silence — becomes true at its own
planned instant before the input counts. So a wake-up is only a hint: prompt, late,
repeated or lost, the facts are the same.
"""

import copy
from bisect import bisect_right
from collections.abc import Callable, Iterable

import msgspec
from msgspec.structs import replace

from schemas.account import MemberUpdate
from schemas.alert import Alert
from schemas.command import Absorb, Command, Link, Release
from schemas.event import Event
from schemas.score import Cause, CauseKind, MachineReason, Reason, ScoreUpdate
from schemas.time import Instant, to_datetime, to_instant
from scorers import (
    alerting,
    belonging,
    explain,
    judging,
    linking,
    masses,
    memory,
    merging,
)
from scorers.alert_rules import CompiledAlert
from scorers.compiled import CompiledModel
from scorers.crossing import first_exit
from scorers.curve import NEVER, Curve
from scorers.explain import LedgerLine
from scorers.machine_notes import not_counted
from scorers.notice import alert_of, identifiers_of, last_word_of
from scorers.reading import curve_of, group_points, onward
from scorers.state import AlertState, LeadState, pack_state, unpack_state
from scorers.step import Decision, Outcome, Step
from scorers.withholding import withheld

_SILENT_REASONS = frozenset({"not-hot"})
"""Decisions that are not news: nearly every lead is not hot, all the time."""


class Reading(msgspec.Struct, frozen=True):
    """A lead's score at an instant, with everything that explains it."""

    lead_id: str
    score: float
    exact: float
    tier: str
    grade: str
    groups: dict[str, float]
    reasons: tuple[Reason, ...]
    ledger: tuple[LedgerLine, ...]
    as_of: Instant
    next_change_at: Instant | None


class _Moment(msgspec.Struct, frozen=True):
    """What is so at the instant of an alert."""

    at: Instant
    score: float
    grade: str
    reasons: tuple[Reason, ...]
    event: Event | None
    settling: bool
    """Whether it came with time alone, not with the input."""


class _Draft:
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
        return curve_of(self.model, self.state, at)

    def onward(self, curve: Curve) -> Curve:
        return onward(self.model, self.state, curve)

    def step(self, outcome: Outcome = "scored") -> Step:
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


def on_event(
    model: CompiledModel, state: LeadState | None, event: Event, now: Instant
) -> Step:
    """Return what follows when `event` reaches a lead at `now`.

    A repeated event id changes nothing at all. `state` is None for a new lead.

    Raises
    ------
    ValueError
        If the lead is new and the event names nobody.
    """
    event_id = masses.hash64(event.id)
    if state is None:
        state = memory.born(event)
    elif event_id in state.ids:
        return Step(state=state, outcome="duplicate")
    draft = _Draft(model, state, now)
    curve = _settle(draft)
    accounts = model.accounts
    measured = model.surge_window or (accounts is not None and accounts.measures_points)
    before = 0.0
    if measured:
        before = (draft.curve(draft.now) if curve is None else curve).exact()
    reason = judging.judge(model, state, event)
    machine = reason is not None
    memory.learn(model, draft.state, event, event_id, draft.now, machine=machine)
    judged = judging.NOTHING
    if machine or event.channel == "email":
        judged = judging.take(model, draft.state, event, event_id, reason)
        draft.machines = judged.found
    if reason in {None, "staff"} and event_id not in judged.withdrawn:
        # Else a machine's cookie would become somebody's.
        draft.commands = linking.links_of(draft.state, event, draft.now)
    curve = draft.curve(draft.now)
    gained = curve.exact() - before if measured else 0.0
    if model.surge_window:
        memory.gain(draft.state, draft.now, event_id, gained, model.surge_window)
    if accounts is not None:
        at = memory.sign_of_life(draft.state, event_id)
        if at is not None:
            sign = (at, event_id, gained)
            belonging.note_sign(draft.state, sign, accounts.window, draft.now)
    kind: CauseKind = "event"
    if judged.withdrawn - {event_id} or (
        reason == "staff" and not judging.is_staff(model, state)
    ):
        # What had counted before turned out to be a machine's.
        kind, draft.withdrawing = "retraction", True
    _conclude(draft, Cause(kind=kind, event_id=event.id), event, curve)
    return draft.step()


def on_wakeup(model: CompiledModel, state: LeadState, now: Instant) -> Step:
    """Return what follows when nothing happens to a lead until `now`.

    Where nothing was planned, nothing changes: the state is the one that was given.
    """
    if state.claims or (
        state.model == model.digest and (state.wake_at is None or state.wake_at > now)
    ):
        return Step(state=state, outcome="scored")
    draft = _Draft(model, state, now)
    cause = _cause_of_time(draft)
    curve = _settle(draft)
    _conclude(draft, cause, None, curve)
    return draft.step()


def on_retract(
    model: CompiledModel, state: LeadState, event_ids: Iterable[str], now: Instant
) -> Step:
    """Return what follows when events are withdrawn: as if they never happened.

    Exactly what is left of their contribution goes; their ids stay known, so a
    repeated delivery cannot bring them back.
    """
    draft = _Draft(model, state, now)
    _settle(draft)
    draft.withdrawing = True
    ids = frozenset(masses.hash64(event_id) for event_id in event_ids)
    judging.forget(model, draft.state, ids, draft.now)
    _conclude(draft, Cause(kind="retraction"), None)
    return draft.step()


def on_model_change(
    old: CompiledModel, new: CompiledModel, state: LeadState, at: Instant
) -> Step:
    """Return what follows when `new` replaces `old` at `at`.

    What was planned up to `at` is settled by the old model; then the new one's
    points, half-lives and caps apply to what is remembered, at once.
    """
    if state.claims:
        state = replace(state, model=new.digest, now=max(state.now, at))
        return Step(state=state, outcome="scored")
    draft = _Draft(old, state, at)
    _settle(draft)
    draft.model = new
    draft.state = copy.copy(memory.adopted(new, draft.state))
    _conclude(draft, Cause(kind="model"), None)
    return draft.step()


def on_backfill(
    model: CompiledModel,
    state: LeadState,
    event: Event,
    rules: frozenset[str],
    now: Instant,
    *,
    traits: frozenset[str] = frozenset(),
    place: tuple[str, str, int] | None = None,
) -> Step:
    """Return what follows when `rules` learn of an `event` from before they were.

    So do the `traits` that no rule read before. Every other rule knows the event
    already. Learning it again changes nothing: `place` is the backfill's name, and
    the topic and offset that it has come to.
    """
    draft = _Draft(model, state, now)
    if place is not None and memory.taught_before(draft.state, *place):
        return Step(state=state, outcome="duplicate")
    _settle(draft)
    if memory.backfill(model, draft.state, event, rules, draft.now, traits=traits):
        _conclude(draft, Cause(kind="model"), None)
        return draft.step()
    return Step(state=state, outcome="duplicate")


def on_link(model: CompiledModel, state: LeadState | None, link: Link) -> Step:
    """Return what follows when a weaker lead turns out to be a stronger one's.

    It hands over what it knows, says a last word, and keeps a redirect: the first
    time. From then on only whose it is can change. `state` is None for a lead of
    which nothing was known: what comes later is redirected all the same.
    """
    state = state or LeadState(lead_id=link.lead_id)
    if state.user_ids or link.to == link.lead_id:
        return Step(state=state, outcome="duplicate")  # a known person stays
    claims, release = linking.claimed(state, link)
    if claims == state.claims:
        told = () if release is None else (release,)
        return Step(state=state, outcome="duplicate", commands=told)
    draft = _Draft(model, state, to_instant(link.at))
    commands: list[Command] = [] if release is None else [release]
    if not state.claims and state.ids:
        _settle(draft)
        commands.append(
            Absorb(
                lead_id=link.to,
                absorbed=link.lead_id,
                state=pack_state(draft.state),
                since=link.since,
                at=link.at,
            )
        )
    draft.commands = tuple(commands)
    settled = draft.state
    draft.state = LeadState(
        lead_id=state.lead_id,
        model=model.digest,
        sequence=settled.sequence,
        tier=model.tier_of(0.0),
        now=draft.now,
        member_sequence=settled.member_sequence,
        absorbed=settled.absorbed,
        claims=claims,
    )
    if settled.account_id is not None and model.accounts is not None:
        draft.members = (belonging.leave(draft.state, settled.account_id, draft.now),)
    if settled.sequence and claims[-1][1] != linking.present_owner(state):
        draft.state.sequence += 1
        draft.updates.append(last_word_of(model, settled, draft.state))
    return draft.step("linked")


def on_absorb(model: CompiledModel, state: LeadState | None, absorb: Absorb) -> Step:
    """Return what follows when a lead takes in what a weaker one knew.

    What it has absorbed before changes nothing.

    Raises
    ------
    ValueError
        If this version cannot read what the other lead knew.
    """
    state = state or LeadState(lead_id=absorb.lead_id)
    absorption = linking.absorption_of(absorb)
    if absorption in state.absorbed:
        return Step(state=state, outcome="duplicate")
    other = unpack_state(absorb.state)
    if any(lead == absorption[1] for _, lead, _ in state.absorbed):
        # An owner that had lost the lead was quicker: its folds are counted.
        other = merging.unfolded(other)
    draft = _Draft(model, state, to_instant(absorb.at))
    _settle(draft)
    draft.state = merging.merged(model, draft.state, other, draft.now)
    draft.state.absorbed = linking.with_absorption(draft.state, absorption)
    _conclude(draft, Cause(kind="merge"), None)
    return draft.step("linked")


def on_release(state: LeadState, release: Release) -> Step:
    """Return what follows when an identifier of the lead is somebody else's."""
    linked, claim = linking.released(state, release)
    if claim is not None:
        return Step(state=state, outcome="duplicate", commands=(claim,))
    if linked == state.linked:
        return Step(state=state, outcome="duplicate")
    return Step(state=replace(state, linked=linked), outcome="linked")


def read(model: CompiledModel, state: LeadState, now: Instant) -> Reading:
    """Return the score of `state` at `now` (not before its last event)."""
    state = memory.adopted(model, state)
    now = max(now, state.now)

    curve = curve_of(model, state, now)
    groups = group_points(curve, model)
    score = curve.published()
    return Reading(
        lead_id=state.lead_id,
        score=score,
        exact=curve.exact(),
        tier=model.tier_of(score),
        grade=model.grade_of(groups),
        groups={name: round(points, 2) for name, points in groups.items()},
        reasons=explain.reasons(model, state, curve),
        ledger=explain.ledger(curve),
        as_of=now,
        next_change_at=_next_change(curve, lambda last: onward(model, state, last)),
    )


def _next_change(curve: Curve, following: Callable[[Curve], Curve]) -> Instant | None:
    level = curve.level()
    return first_exit(curve, (level, level + 1), following).at


def _settle(draft: _Draft) -> Curve | None:
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


def _adopt(draft: _Draft) -> None:
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


def _re_rise(draft: _Draft, level: int) -> int:
    """Return the least level above `level` that ends a cooldown early."""
    rises = []
    for policy in draft.model.policies:
        known = _memory_of(draft.state, policy)
        if policy.kind == "hot" and known.waiting_for == "cooldown":
            rises.append(draft.model.scaled(known.told_score * (1 + policy.re_rise)))
    return min((rise for rise in rises if rise > level), default=NEVER)


def _next_deadline(draft: _Draft, after: Instant) -> Instant | None:
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


def _signal(draft: _Draft, policy: CompiledAlert, score: float, at: Instant) -> float:
    """Return the value of what `policy` watches, at `at`."""
    state = draft.state
    if policy.kind == "surge":
        if draft.model.withholds(state.refused):
            return 0.0
        return memory.gained(state, at - policy.within)
    if policy.kind == "stage":
        stage = memory.trait_text(state, "lifecycle_stage") or ""
        return float(stage.casefold() in policy.stages)
    return score


def _verdicts(
    draft: _Draft, score: float, at: Instant
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


def _cause_of_time(draft: _Draft) -> Cause:
    if draft.state.now >= draft.now:
        return Cause(kind="decay")
    return _cause_between(draft, draft.curve(draft.state.now), draft.now)


def _cause_between(draft: _Draft, curve: Curve, until: Instant) -> Cause:
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


def _conclude(
    draft: _Draft, cause: Cause, event: Event | None, curve: Curve | None = None
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
    draft: _Draft,
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
    owner = memory.trait_text(state, "owner")
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
        None if only_tier and not changed else _next_change(curve, draft.onward)
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
    draft: _Draft,
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


def _before(draft: _Draft, moment: _Moment) -> float:
    """Return the score just before: a millisecond ago, or without the input.

    It is not the last one published, which hangs on when somebody looked.
    """
    if moment.settling:
        return draft.curve(moment.at - 1).published()
    model, state = draft.origin
    return curve_of(model, memory.adopted(model, state), moment.at).published()
