"""The canonical event: what every tracker, provider and CRM is translated into.

The vocabulary is Segment's (semantic event names, snake_case inside), so that an
analyst can read an event without a manual.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from schemas.time import Instant, to_instant
from schemas.workspace import DEFAULT_WORKSPACE, Workspace

EventType = Literal["page", "track", "identify", "group", "alias"]
Channel = Literal["web", "email", "social", "content", "crm"]

CHANNELS: tuple[Channel, ...] = ("web", "email", "social", "content", "crm")

Moment = Annotated[
    datetime,
    msgspec.Meta(tz=True, description="RFC 3339 instant with a time zone."),
]
Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class Event(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename=None, gc=False
):
    """One thing that one person did, or one thing learnt about them.

    At least one of `user_id`, `email` and `anonymous_id` must be present: an event
    of nobody can change no score. Unknown fields are ignored by this reader and
    stay in the bytes on the topic.
    """

    id: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=256,
            description="Unique per event; a repeated id is counted once.",
        ),
    ]
    type: EventType
    channel: Channel
    occurred_at: Annotated[
        datetime, msgspec.Meta(tz=True, description="When it happened (event time).")
    ]
    name: Annotated[
        str,
        msgspec.Meta(max_length=256, description="Track name or page title."),
    ] = ""
    anonymous_id: Identifier | None = None
    user_id: Identifier | None = None
    email: Identifier | None = None
    properties: dict[str, Any] = {}
    traits: dict[str, Any] = {}
    context: dict[str, Any] = {}
    received_at: Annotated[
        Moment | None,
        msgspec.Meta(
            description="When the collector took it in; `occurred_at` if absent.",
        ),
    ] = None
    source: Annotated[
        str,
        msgspec.Meta(max_length=128, description="Where it came from: segment, …"),
    ] = ""
    workspace: Workspace = DEFAULT_WORKSPACE

    def __post_init__(self) -> None:
        """Refuse an event of nobody and a receipt time without a zone."""
        if self.user_id is None and self.email is None and self.anonymous_id is None:
            msg = "needs at least one of user_id, email, anonymous_id"
            raise ValueError(msg)
        if self.received_at is not None and self.received_at.tzinfo is None:
            msg = "received_at needs a time zone"
            raise ValueError(msg)

    @property
    def now(self) -> Instant:
        """The processing time this event carries: when it was received."""
        received = self.received_at
        return to_instant(self.occurred_at if received is None else received)

    @property
    def time(self) -> Instant:
        """The event time used for decay: never later than the receipt."""
        return min(to_instant(self.occurred_at), self.now)
