"""Alerts as they stand on the topic, built with what a test cares about."""

from datetime import timedelta
from typing import Any

import msgspec

from schemas.alert import Alert, AlertKind, DealValue, RecentEvent
from schemas.score import Identifiers, ModelRef, Reason
from schemas.time import Instant, to_datetime
from scorers.identity import lead_id_of
from scorers.notice import alert_id

T0: Instant = 1_795_255_200_000
"""2026-11-21T10:00:00Z."""
MODEL = ModelRef(name="default", version="1", digest="0123456789ab")
NASTY = "Ada <b>*Love*</b> <!channel> \u202egnp.exe & [x](http://evil.example)\n@here"
"""A name full of markup, mentions and a character that turns text around."""


def alert(
    person: str = "ada",
    *,
    kind: AlertKind = "hot",
    policy: str = "hot-lead",
    episode: int = 1,
    at: Instant = T0,
    **given: Any,
) -> Alert:
    """Return an alert of a person."""
    lead_id = lead_id_of("user_id", person)
    fields: dict[str, Any] = {
        "id": alert_id(lead_id, policy, episode),
        "lead_id": lead_id,
        "alert": policy,
        "kind": kind,
        "episode": episode,
        "reason": "crossed-threshold",
        "score": 72.5,
        "previous": 40.0,
        "threshold": 60.0,
        "tier": "gold",
        "grade": "A1",
        "reasons": tuple(
            Reason(rule=f"rule-{n}", group="web", points=5.0, text=f"Reason number {n}")
            for n in range(1, 8)
        ),
        "last_events": (
            RecentEvent(
                at=to_datetime(at), name="Demo Requested", channel="web", detail="/demo"
            ),
        ),
        "next_action": "Offer a demo and ask what they need to decide.",
        "occurred_at": to_datetime(at),
        "decided_at": to_datetime(at),
        "model": MODEL,
        "identifiers": Identifiers(
            email=(f"{person}@analytical.example",), user_id=(person,)
        ),
        "owner": "dana",
        "stage": "intent",
        "deal_value": DealValue(amount=25_000.0, currency="EUR"),
        "traits": {"name": "Ada Lovelace", "company": "Analytical", "country": "DE"},
    }
    return Alert(**{**fields, **given})


def later(one: Alert, seconds: float, **given: Any) -> Alert:
    """Return `one` decided so much later, with other fields."""
    at = one.decided_at + timedelta(seconds=seconds)
    return msgspec.structs.replace(one, decided_at=at, occurred_at=at, **given)
