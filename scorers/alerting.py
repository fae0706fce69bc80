"""Alert policy: a decision is a pure function that answers with its reason.

``decide`` is given the policy, what is remembered of the lead, the value of the
policy's signal (the published score, the points gained, the stage) and the instant;
it never looks at a clock and never sends anything.
"""

from typing import Protocol

import msgspec
from msgspec.structs import replace

from schemas.alert import DecisionReason
from schemas.time import Instant, Millis
from scorers.alert_rules import CompiledAlert
from scorers.quiet import Quiet
from scorers.state import AlertState


class Policy(Protocol):
    """What a decision needs to know of an alert's policy, of a lead or an account."""

    entered: DecisionReason
    enter: float
    leave: float
    dwell: Millis
    leave_dwell: Millis
    cooldown: Millis
    re_rise: float
    quiet: Quiet | None


class Verdict(msgspec.Struct, frozen=True):
    """What a policy decided: the new memory, the reason, and whether to tell."""

    state: AlertState
    reason: DecisionReason
    tell: bool = False
    ended: bool = False
    """Whether a told episode ended here (the `cooled` alert is due)."""
    recalled: bool = False
    """Whether it ended because what it stood on was withdrawn."""


def decide(policy: Policy, memory: AlertState, value: float, at: Instant) -> Verdict:
    """Return what `policy` makes of the `value` of its signal at `at`."""
    match memory.phase:
        case "in":
            return _inside(policy, memory, value, at)
        case "waiting":
            return _waiting(policy, memory, value, at)
        case _:
            return _outside(policy, memory, value, at)


def decide_withdrawn(
    policy: Policy, memory: AlertState, value: float, at: Instant
) -> Verdict:
    """Return what `policy` decides after events were withdrawn.

    An episode that no longer stands is recalled at once, without any dwell.
    """
    if memory.phase == "in" and value < policy.leave:
        left = replace(memory, phase="out", deadline=None, muted=False)
        told = not memory.muted
        return Verdict(left, "recalled", ended=told, recalled=told)
    return decide(policy, memory, value, at)


def inhibited(memory: AlertState) -> Verdict:
    """Return a telling muted by another alert: the episode passes in silence."""
    silent = replace(memory, phase="in", waiting_for="", deadline=None, muted=True)
    return Verdict(silent, "inhibited")


def decide_unworked(
    policy: CompiledAlert,
    memory: AlertState,
    watched: AlertState,
    worked_at: Instant | None,
    at: Instant,
) -> Verdict | None:
    """Return what to make of an alert that sales should deal with; None: nothing.

    `memory.episode` is the last episode of the watched alert that was settled.
    """
    if watched.told_at is None or memory.episode >= watched.episode:
        return None
    settled = AlertState(episode=watched.episode)
    if worked_at is not None and worked_at >= watched.told_at:
        return Verdict(settled, "acknowledged")
    if watched.phase != "in" or watched.muted:
        return Verdict(settled, "not-hot")
    deadline = watched.told_at + policy.after
    if at < deadline:
        waiting = replace(memory, phase="waiting", deadline=deadline)
        return None if waiting == memory else Verdict(waiting, "dwell")
    return Verdict(settled, "unacknowledged", tell=True)


def _outside(policy: Policy, memory: AlertState, value: float, at: Instant) -> Verdict:
    if value < policy.enter:
        inside_band = memory.episode and value >= policy.leave
        return Verdict(memory, "inside-hysteresis" if inside_band else "not-hot")
    if policy.dwell:
        waiting = replace(
            memory, phase="waiting", waiting_for="dwell", deadline=at + policy.dwell
        )
        return Verdict(waiting, "dwell")
    return _due(policy, memory, value, at, policy.entered)


def _due(
    policy: Policy,
    memory: AlertState,
    value: float,
    at: Instant,
    reason: DecisionReason,
) -> Verdict:
    """Tell, unless the cooldown of the last telling or quiet hours still run."""
    told_at = memory.told_at
    if told_at is not None and at < told_at + policy.cooldown:
        if not _re_rose(policy, memory, value):
            waiting = replace(
                memory,
                phase="waiting",
                waiting_for="cooldown",
                deadline=told_at + policy.cooldown,
            )
            return Verdict(waiting, "cooldown")
        reason = "re-rose"
    quiet_until = None if policy.quiet is None else policy.quiet.until(at)
    if quiet_until is not None:
        waiting = replace(
            memory,
            phase="waiting",
            waiting_for="quiet-hours",
            deadline=quiet_until,
        )
        return Verdict(waiting, "quiet-hours")
    return Verdict(_told(memory, value, at), reason, tell=True)


def _re_rose(policy: Policy, memory: AlertState, value: float) -> bool:
    return value >= memory.told_score * (1 + policy.re_rise)


def _told(memory: AlertState, value: float, at: Instant) -> AlertState:
    return AlertState(
        phase="in", episode=memory.episode + 1, told_at=at, told_score=value
    )


def _waiting(policy: Policy, memory: AlertState, value: float, at: Instant) -> Verdict:
    why = memory.waiting_for
    # Falling below the entry ends a dwell; the rest is waited out down to `leave`.
    if value < (policy.enter if why == "dwell" else policy.leave):
        over = replace(memory, phase="out", waiting_for="", deadline=None)
        return Verdict(over, "not-hot")
    if memory.deadline is not None and at < memory.deadline:
        if why != "cooldown":
            return Verdict(memory, "dwell" if why == "dwell" else "quiet-hours")
        if not _re_rose(policy, memory, value):
            return Verdict(memory, "cooldown")
    if value < policy.enter and why != "quiet-hours":
        return Verdict(memory, "inside-hysteresis")
    reason = "cooldown-over" if why == "cooldown" else policy.entered
    return _due(policy, memory, value, at, reason)


def _inside(policy: Policy, memory: AlertState, value: float, at: Instant) -> Verdict:
    if value >= policy.leave:
        reason: DecisionReason = (
            "still-hot" if value >= policy.enter else "inside-hysteresis"
        )
        return Verdict(replace(memory, deadline=None), reason)
    if policy.leave_dwell:
        if memory.deadline is None:
            return Verdict(replace(memory, deadline=at + policy.leave_dwell), "dwell")
        if at < memory.deadline:
            return Verdict(memory, "dwell")
    left = replace(memory, phase="out", deadline=None, muted=False)
    return Verdict(left, "fell-below", ended=not memory.muted)


def next_deadline(alerts: dict[str, AlertState], after: Instant) -> Instant | None:
    """Return the first deadline of any policy later than `after`; None if none."""
    deadlines = [
        memory.deadline
        for memory in alerts.values()
        if memory.deadline is not None and memory.deadline > after
    ]
    return min(deadlines, default=None)
