"""What two identities' alerts remember, as one memory.

The stronger episode stays: told, then muted, then waiting, then none. So nobody is
told twice of one rise, and nobody is told of an end that was none. The last telling of
both counts for the cooldown. Episodes add up, so the one lead's next has a number that
it never used.
"""

from typing import Final

from msgspec.structs import replace

from schemas.time import Instant
from scorers.compiled import CompiledModel
from scorers.notice import alert_id
from scorers.state import AlertState, LeadState

_NEVER: Final[Instant] = 1 << 62
_UNKNOWN: Final = AlertState()


def merged_alerts(
    model: CompiledModel, kept: LeadState, other: LeadState
) -> dict[str, AlertState]:
    """Return the memories of every alert that one of the two has."""
    watched_by = {policy.name: policy.of or "" for policy in model.unworked}
    alerts: dict[str, AlertState] = {}
    for name in [
        *kept.alerts,
        *(name for name in other.alerts if name not in kept.alerts),
    ]:
        if name not in watched_by:
            alerts[name] = _merged(name, kept, other)
    for name, of in watched_by.items():
        if name in kept.alerts or name in other.alerts or of in alerts:
            alerts[name] = _unworked(name, of, kept, other)
    return alerts


def _strength(memory: AlertState) -> tuple[int, int, int, float]:
    rank = {"out": 0, "waiting": 1, "in": 3}[memory.phase] - memory.muted
    deadline = _NEVER if memory.deadline is None else memory.deadline
    return (rank, -deadline, memory.told_at or 0, memory.told_score)


def _stronger(name: str, one: LeadState, other: LeadState) -> LeadState:
    """Return the lead whose episode of the alert is the stronger."""
    mine, theirs = one.alerts.get(name, _UNKNOWN), other.alerts.get(name, _UNKNOWN)
    return one if _strength(mine) >= _strength(theirs) else other


def _merged(name: str, kept: LeadState, other: LeadState) -> AlertState:
    mine, theirs = kept.alerts.get(name, _UNKNOWN), other.alerts.get(name, _UNKNOWN)
    lead = _stronger(name, kept, other)
    strong = lead.alerts.get(name, _UNKNOWN)
    episode = mine.episode + theirs.episode
    told_id = strong.told_id
    if strong.phase != "in" or strong.muted:
        told_id = ""
    elif not told_id and (lead is not kept or episode != strong.episode):
        told_id = alert_id(lead.lead_id, name, strong.episode)
    told = [
        (memory.told_at, memory.told_score)
        for memory in (mine, theirs)
        if memory.told_at is not None
    ]
    told_at, told_score = max(told, default=(None, 0.0))
    return replace(
        strong, episode=episode, told_at=told_at, told_score=told_score, told_id=told_id
    )


def _unworked(name: str, of: str, kept: LeadState, other: LeadState) -> AlertState:
    """Return how far the alert `of` was dealt with, whoever's episode it is now."""
    lead = _stronger(of, kept, other)
    known = lead.alerts.get(name, _UNKNOWN)
    watched = lead.alerts.get(of, _UNKNOWN)
    episode = sum(side.alerts.get(of, _UNKNOWN).episode for side in (kept, other))
    if not episode or known.episode >= watched.episode:
        return AlertState(episode=episode)
    return replace(known, episode=episode - 1)
