"""Commands: what the pipeline says to itself, keyed by lead, on one topic."""

from datetime import datetime
from typing import Annotated

import msgspec

from schemas.event import Event


class Wakeup(msgspec.Struct, frozen=True, kw_only=True, tag="wakeup", tag_field="kind"):
    """Look at this lead: something was planned for `at`. A hint, never a fact."""

    lead_id: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]


class Forward(
    msgspec.Struct, frozen=True, kw_only=True, tag="forward", tag_field="kind"
):
    """An event that arrived under another key than its lead's own."""

    lead_id: str
    event: Event
    source: Annotated[
        str,
        msgspec.Meta(description="The redirected lead and the topic it came by."),
    ] = ""
    offset: Annotated[
        int,
        msgspec.Meta(description="Its place there: what is sent again is known by it."),
    ] = -1


class Retract(
    msgspec.Struct, frozen=True, kw_only=True, tag="retract", tag_field="kind"
):
    """Withdraw events as if they had never happened (machine traffic, consent)."""

    lead_id: str
    event_ids: tuple[str, ...]
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    reason: str


class Learn(msgspec.Struct, frozen=True, kw_only=True, tag="learn", tag_field="kind"):
    """Let rules that are new take in an event from before they were.

    `backfill` names the undertaking, `topic` and `offset` where the event is
    retained: of one topic they only rise, so a repetition is known for what it is.
    """

    lead_id: str
    event: Event
    rules: tuple[str, ...]
    traits: tuple[str, ...] = ()
    slot: str = "primary"
    backfill: str
    topic: str
    offset: int
    at: Annotated[datetime, msgspec.Meta(tz=True)]


class Link(msgspec.Struct, frozen=True, kw_only=True, tag="link", tag_field="kind"):
    """Two leads are one person: an event has shown their identifiers together."""

    lead_id: Annotated[str, msgspec.Meta(description="Lead of the weaker identifier.")]
    to: Annotated[str, msgspec.Meta(description="Lead of the stronger one.")]
    since: Annotated[
        datetime, msgspec.Meta(tz=True, description="Event time at which it was shown.")
    ]
    at: Annotated[datetime, msgspec.Meta(tz=True, description="When it was heard of.")]


class Absorb(msgspec.Struct, frozen=True, kw_only=True, tag="absorb", tag_field="kind"):
    """Take in everything that was known of a weaker lead; it is yours."""

    lead_id: str
    absorbed: Annotated[str, msgspec.Meta(description="The lead that is no more.")]
    state: Annotated[
        bytes, msgspec.Meta(description="What it knew: internal, compressed.")
    ]
    since: Annotated[
        datetime, msgspec.Meta(tz=True, description="Event time of the link.")
    ]
    at: Annotated[datetime, msgspec.Meta(tz=True, description="When it was heard of.")]


class Release(
    msgspec.Struct, frozen=True, kw_only=True, tag="release", tag_field="kind"
):
    """An identifier is somebody else's by now: link it anew when you see it again."""

    lead_id: str
    released: Annotated[str, msgspec.Meta(description="Lead of the identifier.")]
    since: Annotated[
        datetime, msgspec.Meta(tz=True, description="Event time of the other's claim.")
    ]
    to: Annotated[
        str, msgspec.Meta(description="Whose it is now; empty where that is not said.")
    ] = ""


class Erase(msgspec.Struct, frozen=True, kw_only=True, tag="erase", tag_field="kind"):
    """Forget everything about this lead, and do not know it again."""

    lead_id: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    by: Annotated[str, msgspec.Meta(description="Who asked; for the audit.")] = ""
    person: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="The person's leads, of which this is one; if known."),
    ] = ()


Command = Wakeup | Forward | Retract | Learn | Link | Absorb | Release | Erase
