"""Whatever is addressed to a lead: the one way in, for workers and for replay."""

from schemas.command import Absorb, Link, Release, Retract
from schemas.event import Event
from schemas.time import Instant
from scorers.compiled import CompiledModel
from scorers.linking import redirect
from scorers.scorer import on_absorb, on_event, on_link, on_release, on_retract
from scorers.state import LeadState
from scorers.step import Step

Addressed = Event | Retract | Link | Absorb | Release
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
    if state is not None and state.claims and not isinstance(message, Link | Release):
        return Step(
            state=state, outcome="redirected", commands=redirect(state, message)
        )
    match message:
        case Event():
            known = state or LeadState(lead_id=lead_id)
            return on_event(model, known, message, now)
        case Link():
            return on_link(model, state, message)
        case Absorb():
            return on_absorb(model, state, message)
        case Retract():
            if state is None:
                return Step(state=LeadState(lead_id=lead_id), outcome="duplicate")
            return on_retract(model, state, message.event_ids, now)
        case Release():
            if state is None:
                return Step(state=LeadState(lead_id=lead_id), outcome="duplicate")
            return on_release(state, message)
