"""The reducer: (model, state, input, now) → the step that follows.

Settle first, then apply. Everything planned up to `now` — tier crossings, ends of
dwell and cooldown, absence deadlines, steps of silence — becomes true at its own
planned instant before the input counts. So a wake-up is only a hint: prompt, late,
repeated or lost, the facts are the same.
"""

import copy
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from schemas.command import Absorb, Command, Link, Release
from schemas.event import Event
from schemas.score import Cause, CauseKind, Reason
from schemas.time import Instant, to_instant
from scorers import (
    belonging,
    explain,
    judging,
    linking,
    masses,
    memory,
    merging,
)
from scorers.compiled import CompiledModel
from scorers.draft import Draft, cause_of_time, conclude, next_change_of, settle
from scorers.explain import LedgerLine
from scorers.notice import last_word_of
from scorers.reading import curve_of, group_points, onward
from scorers.state import LeadState, pack_state, unpack_state
from scorers.step import Step


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
    draft = Draft(model, state, now)
    curve = settle(draft)
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
    conclude(draft, Cause(kind=kind, event_id=event.id), event, curve)
    return draft.step()


def on_wakeup(model: CompiledModel, state: LeadState, now: Instant) -> Step:
    """Return what follows when nothing happens to a lead until `now`.

    Where nothing was planned, nothing changes: the state is the one that was given.
    """
    if state.claims or (
        state.model == model.digest and (state.wake_at is None or state.wake_at > now)
    ):
        return Step(state=state, outcome="scored")
    draft = Draft(model, state, now)
    cause = cause_of_time(draft)
    curve = settle(draft)
    conclude(draft, cause, None, curve)
    return draft.step()


def on_retract(
    model: CompiledModel, state: LeadState, event_ids: Iterable[str], now: Instant
) -> Step:
    """Return what follows when events are withdrawn: as if they never happened.

    Exactly what is left of their contribution goes; their ids stay known, so a
    repeated delivery cannot bring them back.
    """
    draft = Draft(model, state, now)
    settle(draft)
    draft.withdrawing = True
    ids = frozenset(masses.hash64(event_id) for event_id in event_ids)
    judging.forget(model, draft.state, ids, draft.now)
    conclude(draft, Cause(kind="retraction"), None)
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
    draft = Draft(old, state, at)
    settle(draft)
    draft.model = new
    draft.state = copy.copy(memory.adopted(new, draft.state))
    conclude(draft, Cause(kind="model"), None)
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
    draft = Draft(model, state, now)
    if place is not None and memory.taught_before(draft.state, *place):
        return Step(state=state, outcome="duplicate")
    settle(draft)
    if memory.backfill(model, draft.state, event, rules, draft.now, traits=traits):
        conclude(draft, Cause(kind="model"), None)
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
    draft = Draft(model, state, to_instant(link.at))
    commands: list[Command] = [] if release is None else [release]
    if not state.claims and state.ids:
        settle(draft)
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
    draft = Draft(model, state, to_instant(absorb.at))
    settle(draft)
    draft.state = merging.merged(model, draft.state, other, draft.now)
    draft.state.absorbed = linking.with_absorption(draft.state, absorption)
    conclude(draft, Cause(kind="merge"), None)
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
        next_change_at=next_change_of(curve, lambda last: onward(model, state, last)),
    )
