"""Records as they stand on the topics, built with what a test cares about."""

import msgspec

from schemas.alert import Alert
from schemas.event import Event
from schemas.score import Cause, Identifiers, ModelRef, Reason, ScoreUpdate
from schemas.time import DAY, HOUR, Instant, to_datetime
from scorers.identity import lead_id_of
from streams.view import Change

T0: Instant = 1_795_255_200_000
"""2026-11-21T10:00:00Z."""
MODEL = ModelRef(name="default", version="1", digest="0123456789ab")
ADA = lead_id_of("user_id", "ada")


def update(
    *,
    lead_id: str = ADA,
    sequence: int = 1,
    score: float = 10.0,
    tier: str = "bronze",
    owner: str | None = None,
    identifiers: Identifiers | None = None,
    at: Instant = T0,
) -> ScoreUpdate:
    return ScoreUpdate(
        lead_id=lead_id,
        sequence=sequence,
        score=score,
        previous=0.0,
        delta=score,
        tier=tier,
        previous_tier="none",
        grade="B2",
        groups={"web": score, "email": 0.0},
        reasons=(
            Reason(rule="pricing-page", group="web", points=5.0, text="Saw the prices"),
            Reason(rule="silence", group="web", points=-1.0, text="Silent for 14 days"),
        ),
        cause=Cause(kind="event", event_id="e1"),
        as_of=to_datetime(at),
        next_change_at=to_datetime(at + DAY),
        model=MODEL,
        identifiers=identifiers or Identifiers(user_id=("ada",)),
        owner=owner,
    )


def alert(*, alert_id: str = "al_1", lead_id: str = ADA, at: Instant = T0) -> Alert:
    return Alert(
        id=alert_id,
        lead_id=lead_id,
        alert="hot-lead",
        kind="hot",
        episode=1,
        reason="crossed-threshold",
        score=61.0,
        previous=40.0,
        threshold=60.0,
        tier="gold",
        grade="A1",
        reasons=(),
        last_events=(),
        next_action="Call now.",
        occurred_at=to_datetime(at),
        decided_at=to_datetime(at),
        model=MODEL,
        identifiers=Identifiers(user_id=("ada",)),
    )


def event(*, event_id: str = "e1", user_id: str = "ada", at: Instant = T0) -> Event:
    return Event(
        id=event_id,
        type="page",
        channel="web",
        name="Pricing",
        user_id=user_id,
        properties={"path": "/pricing"},
        occurred_at=to_datetime(at),
        received_at=to_datetime(at + HOUR),
    )


def change(value: ScoreUpdate | Alert | Event) -> Change:
    return Change(value, msgspec.json.encode(value))
