"""What all social networks tell: a person there did something with what is ours."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from schemas.event import Event
from schemas.time import Instant
from scorers.identity import is_legal
from streams.collector.adapters.provider import Envelope, derive_event_id
from streams.collector.verdict import Rejection

Network = Literal["facebook", "instagram", "linkedin", "x"]
Act = Literal[
    "Page Liked",
    "Post Liked",
    "Post Shared",
    "Post Replied",
    "Followed",
    "Mentioned",
    "Offer Downloaded",
    "Form Submitted",
    "Message Received",
]

_DOWNLOADS = ("download", "e-book", "ebook", "guide", "brochure", "checklist", "paper")


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that one person did on a network."""

    act: Act
    network: Network
    person: str | None
    """Whom the network knows by this id, the same person each time."""
    at: Instant | None
    ids: tuple[object, ...]
    """What tells this deed from all others there, the same on a repeat."""
    post_id: str | None = None
    name: str | None = None
    username: str | None = None
    email: str | None = None
    properties: Mapping[str, Any] = {}
    traits: Mapping[str, Any] = {}


def social_event(deed: Deed, envelope: Envelope) -> Event | Rejection:
    """Return the canonical event of what somebody did."""
    return envelope.event(
        id=derive_event_id(deed.network, deed.act, *deed.ids),
        name=deed.act,
        channel="social",
        occurred_at=deed.at,
        email=deed.email,
        anonymous_id=anonymous_id(deed.network, deed.person),
        properties={
            **deed.properties,
            "network": deed.network,
            "post_id": deed.post_id,
        },
        traits={**deed.traits, "name": deed.name, "username": deed.username},
        context={"provider": deed.network},
    )


def anonymous_id(network: str, person: str | None) -> str | None:
    """Return who a network's person is here, None for nobody in particular.

    >>> anonymous_id("x", "2244994945"), anonymous_id("x", "null")
    ('x:2244994945', None)
    """
    return f"{network}:{person}" if person is not None and is_legal(person) else None


def is_offer(form: str | None) -> bool:
    """Say whether a form, by its name, is the way to something to download.

    >>> is_offer("E-book: 12 ways"), is_offer("Talk to sales"), is_offer(None)
    (True, False, False)
    """
    return form is not None and any(word in form.lower() for word in _DOWNLOADS)
