"""What the view keeps of each record: the members of its sets, and the lead's card."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from schemas.account import AccountScore
from schemas.alert import Alert, RecentEvent
from schemas.event import Event
from schemas.score import ScoreUpdate
from schemas.time import Instant, to_instant
from scorers.memory import WORK_EVENTS
from streams.acknowledging import (
    ALERT_PROPERTY,
    BY_PROPERTY,
    OWNER_PROPERTY,
    UNTIL_PROPERTY,
    VIA_PROPERTY,
)
from streams.view_deals import DealState


class Erased(msgspec.Struct, frozen=True):
    """A tombstone: nothing of this lead may stay in the view."""

    lead_id: str


class Change(NamedTuple):
    """One record of a topic, decoded, with its bytes as they were."""

    value: ScoreUpdate | AccountScore | Alert | Event | Erased
    raw: bytes


class ScorePoint(NamedTuple):
    """A published score and the instant it is for."""

    at: Instant
    score: float


class LeadCard(msgspec.Struct, frozen=True, kw_only=True):
    """All that the view knows of one lead."""

    update: ScoreUpdate
    history: tuple[ScorePoint, ...]
    events: tuple["SeenEvent", ...]
    alerts: tuple[Alert, ...] = ()
    work: tuple["WorkDone", ...] = ()
    """What sales did with the lead, the latest first."""
    deal: DealState | None = None
    """The CRM's last word of its deal."""


class AccountCard(msgspec.Struct, frozen=True, kw_only=True):
    """All that the view knows of one account."""

    update: AccountScore
    history: tuple[ScorePoint, ...]
    people: tuple[LeadCard, ...] = ()
    """The strongest of its people, the strongest first."""
    alerts: tuple[Alert, ...] = ()


class SeenEvent(RecentEvent, frozen=True, kw_only=True):
    """A recent event with its id, so that a repeated event is the same member."""

    id: str


class WorkDone(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody of sales did with a lead."""

    id: str
    """The event's id, so that a repeated one is the same."""
    at: Instant
    name: str
    """The event's name, such as Lead Acknowledged."""
    by: str = ""
    via: str = ""
    """Where they said it: web, slack, mail, cli; or the CRM."""
    alert_id: str | None = None
    until: Instant | None = None
    """Of a snooze, when it ends."""
    owner: str | None = None
    """Of an assignment, to whom."""


class WorkChange(msgspec.Struct, frozen=True, kw_only=True):
    """What the live channel says when somebody did something with a lead."""

    lead_id: str
    work: WorkDone


_WORK: Final = WORK_EVENTS | {"lead assigned", "lead snoozed"}
_DETAILS: Final = (
    "path",
    "offer",
    "form",
    "product",
    "asset_type",
    "asset_id",
    "link_url",
    "network",
    "email_id",
    "stage",
    "amount",
)


def stored_event(event: Event) -> bytes:
    """Return what is kept of an event: equal for a repeated one."""
    return msgspec.json.encode(
        SeenEvent(
            id=event.id,
            at=event.occurred_at,
            name=event.name or event.type,
            channel=event.channel,
            detail=_detail(event),
        )
    )


def work_of(event: Event) -> WorkDone | None:
    """Return what somebody of sales did, where `event` says that."""
    if event.channel != "crm" or event.name.casefold() not in _WORK:
        return None
    said = event.properties
    until = said.get(UNTIL_PROPERTY)
    return WorkDone(
        id=event.id,
        at=event.time,
        name=event.name,
        by=_text(said.get(BY_PROPERTY)),
        via=_text(said.get(VIA_PROPERTY)) or event.source,
        alert_id=_text(said.get(ALERT_PROPERTY)) or None,
        until=until if isinstance(until, int) and not isinstance(until, bool) else None,
        owner=_text(said.get(OWNER_PROPERTY)) or None,
    )


def stored_point(update: ScoreUpdate | AccountScore) -> str:
    """Return what is kept of a score in the history."""
    return f"{update.sequence} {to_instant(update.as_of)} {update.score!r}"


def _detail(event: Event) -> str:
    """Return what tells this event from others of its name, like a path."""
    for name in _DETAILS:
        value = event.properties.get(name)
        if isinstance(value, str | int | float) and value != "":
            return str(value)[:120]
    return ""


def _text(value: object) -> str:
    return value[:256] if isinstance(value, str) else ""


def read_point(member: bytes) -> ScorePoint:
    """Return the score that `stored_point` kept."""
    _, at, score = member.split(b" ")
    return ScorePoint(int(at), float(score))


def read_alerts(bodies: Iterable[bytes | str]) -> tuple[Alert, ...]:
    """Return alerts from their bytes, the one that was decided last first."""
    alerts = sorted(map(_ALERT.decode, bodies), key=lambda alert: alert.decided_at)
    return tuple(reversed(alerts))


def read_work(members: Iterable[Any]) -> tuple[WorkDone, ...]:
    """Return what sales did from its bytes, in the order given."""
    return tuple(map(_WORK_DONE.decode, members))


_WORK_DONE: Final = msgspec.json.Decoder(WorkDone)
_ALERT: Final = msgspec.json.Decoder(Alert)
