"""Events of ever new people, ready to be sent but for the instant.

The demo's people, again and again under other names at other companies, each story in
its order. What happens within three weeks there happens within the bench here, for an
event is received when it is sent; that is what a worker that keeps up is given.
"""

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from bench.core import demo
from schemas.event import Event
from schemas.time import Instant, to_datetime
from schemas.topics import topic_for
from scorers.belonging import belonging_of
from scorers.free_mail import FREE_MAIL
from scorers.identity import derive_lead_id
from scorers.state import LeadState

PEOPLE = 400
_UNSENT = to_datetime(0)
_STAMP = msgspec.json.encode(_UNSENT)


class Prepared(NamedTuple):
    """An event that is ready to be sent but for the instant."""

    topic: str
    """Without the deployment's prefix."""
    key: bytes
    value: bytes

    def received(self, now: Instant) -> bytes:
        """Return the record's value if the event happens, and is received, at `now`."""
        return self.value.replace(_STAMP, msgspec.json.encode(to_datetime(now)))


def prepared(generations: int | None = None) -> Iterator[Prepared]:
    """Yield events without end, people's in the order in which their stories go.

    They are of ever new people, or of so many `generations` of 400 again and again.
    """
    for event in lives(generations):
        key = (derive_lead_id(event) or "").encode()
        value = msgspec.json.encode(event)
        yield Prepared(topic_for(event).name, key, value)


def lives(generations: int | None = None) -> Iterator[Event]:
    """Yield events which have not happened yet, as `prepared` does."""
    once = stories()
    for turn in count():
        generation = turn % generations if generations else turn
        for number, event in enumerate(once):
            yield replace(
                event,
                id=f"{turn}-{number}",
                user_id=event.user_id and f"{generation}-{event.user_id}",
                anonymous_id=event.anonymous_id
                and f"{generation}-{event.anonymous_id}",
                email=event.email and _elsewhere(event.email, generation),
                traits={
                    name: _moved(name, value, generation)
                    for name, value in event.traits.items()
                },
                occurred_at=_UNSENT,
                received_at=_UNSENT,
            )


def settled(state: LeadState, lead_id: str, user: str, generation: int) -> LeadState:
    """Return a state like this one, of somebody else at another company."""
    traits = {
        name: replace(fact, value=_moved(name, fact.value, generation))
        for name, fact in state.traits.items()
    }
    moved = replace(
        state,
        lead_id=lead_id,
        user_ids=(user,),
        emails=tuple(_elsewhere(each, generation) for each in state.emails),
        traits=traits,
    )
    belongs = belonging_of(moved)
    return replace(moved, account_id=belongs and belongs.account_id)


def stories() -> list[Event]:
    """Return what happens to one generation, in its order."""
    return sorted(demo(PEOPLE), key=lambda event: event.now)


def _moved(trait: str, value: object, generation: int) -> object:
    if trait == "email":
        return _elsewhere(str(value), generation)
    if trait == "email_domain":  # only a state has it
        return _elsewhere(f"@{value}", generation).rpartition("@")[2]
    return f"{value} {generation}" if trait == "company" else value


def _elsewhere(email: str, generation: int) -> str:
    """Return the address of somebody like the one at `email`, at another company.

    The company with thousands of leads would be a bench of its own.
    """
    name, _, domain = email.partition("@")
    if domain in FREE_MAIL:
        return f"g{generation}.{email}"
    return f"{name}@g{generation}-{domain}"
