"""Records as they stand on the topics, built with what a test cares about."""

import msgspec

from schemas.account import AccountScore, TopMember
from schemas.alert import Alert, AlertedAccount
from schemas.event import Event
from schemas.score import (
    Cause,
    Identifiers,
    ModelRef,
    NotCounted,
    Reason,
    ScoreUpdate,
    Withheld,
)
from schemas.time import DAY, HOUR, Instant, to_datetime
from scorers.belonging import account_id_of
from scorers.identity import lead_id_of
from streams.view import Change

T0: Instant = 1_795_255_200_000
"""2026-11-21T10:00:00Z."""
MODEL = ModelRef(name="default", version="1", digest="0123456789ab")
ADA = lead_id_of("user_id", "ada")
ACME = account_id_of("domain", "acme.example")


def update(
    *,
    lead_id: str = ADA,
    sequence: int = 1,
    score: float = 10.0,
    tier: str = "bronze",
    owner: str | None = None,
    identifiers: Identifiers | None = None,
    at: Instant = T0,
    account_id: str | None = None,
    merged_into: str | None = None,
    not_counted: tuple[NotCounted, ...] = (),
    withheld: tuple[Withheld, ...] = (),
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
        account_id=account_id,
        merged_into=merged_into,
        not_counted=not_counted,
        withheld=withheld,
    )


def account(
    *,
    account_id: str = ACME,
    sequence: int = 1,
    score: float = 20.0,
    tier: str = "bronze",
    members: int = 2,
    top: tuple[TopMember, ...] = (TopMember(lead_id=ADA, score=10.0, tier="bronze"),),
    at: Instant = T0,
) -> AccountScore:
    return AccountScore(
        account_id=account_id,
        name="Acme Ltd",
        domain="acme.example",
        sequence=sequence,
        score=score,
        previous=0.0,
        tier=tier,
        previous_tier="none",
        members=members,
        active=1,
        qualified=False,
        top=top,
        trend=4.5,
        as_of=to_datetime(at),
        next_change_at=None,
        model=MODEL,
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


def surge(*, at: Instant = T0) -> Alert:
    return msgspec.structs.replace(
        alert(alert_id="al_surge", at=at),
        alert="buying-group",
        kind="account-surge",
        reason="surged",
        account_id=ACME,
        account=AlertedAccount(
            name="Acme Ltd",
            domain="acme.example",
            members=3,
            people=(ADA,),
            within_seconds=3600.0,
        ),
    )


def event(
    *,
    event_id: str = "e1",
    user_id: str | None = "ada",
    anonymous_id: str | None = None,
    at: Instant = T0,
) -> Event:
    return Event(
        id=event_id,
        type="page",
        channel="web",
        name="Pricing",
        user_id=user_id,
        anonymous_id=anonymous_id,
        properties={"path": "/pricing"},
        occurred_at=to_datetime(at),
        received_at=to_datetime(at + HOUR),
    )


def change(value: ScoreUpdate | AccountScore | Alert | Event) -> Change:
    return Change(value, msgspec.json.encode(value))
