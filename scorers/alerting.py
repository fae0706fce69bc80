"""Alert policy: a decision is a pure function that answers with its reason.

``decide`` is given the policy, what is remembered of the lead, the published score
and the instant; it never looks at a clock and never sends anything.
"""

from typing import assert_never

import msgspec
from msgspec.structs import replace

from schemas.alert import DecisionReason
from schemas.time import Instant
from scorers.compiled import CompiledAlert
from scorers.state import AlertState


class Verdict(msgspec.Struct, frozen=True):
    """What a policy decided: the new memory, the reason, and whether to tell."""

    state: AlertState
    reason: DecisionReason
    tell: bool = False
    ended: bool = False
    """Whether a told episode ended here (the `cooled` alert is due)."""


def decide(
    policy: CompiledAlert, memory: AlertState, score: float, at: Instant
) -> Verdict:
    """Return what a hot-alert `policy` makes of a published `score` at `at`."""
    match memory.phase:
        case "out":
            return _outside(policy, memory, score, at)
        case "waiting":
            return _waiting(policy, memory, score, at)
        case "in":
            return _inside(policy, memory, score, at)
        case unknown:
            assert_never(unknown)  # type: ignore[arg-type]


def _outside(
    policy: CompiledAlert, memory: AlertState, score: float, at: Instant
) -> Verdict:
    if score < policy.enter:
        inside_band = memory.episode and score >= policy.leave
        return Verdict(memory, "inside-hysteresis" if inside_band else "not-hot")
    if policy.dwell:
        waiting = replace(
            memory, phase="waiting", waiting_for="dwell", deadline=at + policy.dwell
        )
        return Verdict(waiting, "dwell")
    return _due(policy, memory, score, at, "crossed-threshold")


def _due(
    policy: CompiledAlert,
    memory: AlertState,
    score: float,
    at: Instant,
    reason: DecisionReason,
) -> Verdict:
    """Tell, unless the cooldown of the last telling still runs."""
    told_at = memory.told_at
    if told_at is not None and at < told_at + policy.cooldown:
        if not _re_rose(policy, memory, score):
            waiting = replace(
                memory,
                phase="waiting",
                waiting_for="cooldown",
                deadline=told_at + policy.cooldown,
            )
            return Verdict(waiting, "cooldown")
        reason = "re-rose"
    return Verdict(_told(memory, score, at), reason, tell=True)


def _re_rose(policy: CompiledAlert, memory: AlertState, score: float) -> bool:
    return score >= memory.told_score * (1 + policy.re_rise)


def _told(memory: AlertState, score: float, at: Instant) -> AlertState:
    return AlertState(
        phase="in", episode=memory.episode + 1, told_at=at, told_score=score
    )


def _waiting(
    policy: CompiledAlert, memory: AlertState, score: float, at: Instant
) -> Verdict:
    dwelling = memory.waiting_for == "dwell"
    # Falling below the entry ends a dwell; a cooldown is waited out down to `leave`.
    if score < (policy.enter if dwelling else policy.leave):
        return Verdict(
            replace(memory, phase="out", waiting_for="", deadline=None), "not-hot"
        )
    if dwelling:
        if memory.deadline is not None and at < memory.deadline:
            return Verdict(memory, "dwell")
        return _due(policy, memory, score, at, "crossed-threshold")
    if score < policy.enter:
        return Verdict(memory, "inside-hysteresis")
    return _due(policy, memory, score, at, "cooldown-over")


def _inside(
    policy: CompiledAlert, memory: AlertState, score: float, at: Instant
) -> Verdict:
    if score >= policy.leave:
        reason: DecisionReason = (
            "still-hot" if score >= policy.enter else "inside-hysteresis"
        )
        return Verdict(replace(memory, deadline=None), reason)
    if policy.leave_dwell:
        if memory.deadline is None:
            return Verdict(replace(memory, deadline=at + policy.leave_dwell), "dwell")
        if at < memory.deadline:
            return Verdict(memory, "dwell")
    left = replace(memory, phase="out", deadline=None)
    return Verdict(left, "fell-below", ended=True)


def next_deadline(alerts: dict[str, AlertState], after: Instant) -> Instant | None:
    """Return the first deadline of any policy later than `after`; None if none."""
    deadlines = [
        memory.deadline
        for memory in alerts.values()
        if memory.deadline is not None and memory.deadline > after
    ]
    return min(deadlines, default=None)
