"""Whatever is addressed to a lead: the one way in, for workers and for replay."""

from typing import assert_never

from msgspec.structs import replace

from schemas.command import Absorb, Learn, Link, Release, Retract
from schemas.event import Event
from schemas.time import Instant, to_instant
from scorers.compiled import CompiledModel
from scorers.linking import absorption_of, redirect, with_absorption
from scorers.scorer import (
    on_absorb,
    on_backfill,
    on_event,
    on_link,
    on_release,
    on_retract,
)
from scorers.state import LeadState
from scorers.step import Step

Addressed = Event | Retract | Learn | Link | Absorb | Release
"""What changes a lead; a wake-up only looks at it."""


def on_message(
    model: CompiledModel,
    state: LeadState | None,
    message: Addressed,
    now: Instant,
    *,
    lead_id: str,
) -> Step:
    """Return what follows when `message` reaches the lead `lead_id` at `now`.

    A lead that is part of another one by now sends it on, and changes nothing.
    Commands carry their own instants. `state` is None for an unknown lead.
    """
    if state is None:
        if isinstance(message, Retract | Learn | Release):
            return Step(state=LeadState(lead_id=lead_id), outcome="duplicate")
        state = LeadState(lead_id=lead_id)
    if state.claims and not isinstance(message, Link | Release):
        return _sent_on(state, message)
    match message:
        case Event():
            return on_event(model, state, message, now)
        case Retract():
            return on_retract(model, state, message.event_ids, now)
        case Learn():
            return on_backfill(
                model,
                state,
                message.event,
                frozenset(message.rules),
                now,
                traits=frozenset(message.traits),
                place=(message.backfill, message.topic, message.offset),
            )
        case Link():
            return on_link(model, state, message)
        case Absorb():
            return on_absorb(model, state, message)
        case Release():
            return on_release(state, message)
    assert_never(message)


def _sent_on(state: LeadState, message: Event | Retract | Learn | Absorb) -> Step:
    """Return what follows where the lead is part of another one."""
    if isinstance(message, Absorb):
        # Sent on once: by the next time it may be somebody else's.
        absorption = absorption_of(message)
        if absorption in state.absorbed:
            return Step(state=state, outcome="duplicate")
        state = replace(state, absorbed=with_absorption(state, absorption))
    return Step(state=state, outcome="redirected", commands=redirect(state, message))


def said_at(command: Retract | Learn | Link | Absorb | Release) -> Instant:
    """Return the instant at which a command takes effect."""
    return to_instant(command.since if isinstance(command, Release) else command.at)
