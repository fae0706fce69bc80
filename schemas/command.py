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
    """An event that arrived under another key or partition than its lead's own."""

    lead_id: str
    event: Event


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


Command = Wakeup | Forward | Retract | Learn
