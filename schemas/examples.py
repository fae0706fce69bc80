"""One worked example of each message: what the AsyncAPI document shows.

They tell one story: Ada looks at prices, asks for a demo and becomes hot; three
weeks of silence later the pipeline looks at her again.
"""

from datetime import UTC, datetime
from typing import Final

from schemas.account import AccountScore, MemberUpdate, Sign, TopMember
from schemas.alert import Alert, RecentEvent
from schemas.command import Wakeup
from schemas.dead_letter import DeadLetter
from schemas.delivery import Delivery
from schemas.event import Event
from schemas.model_version import ModelVersion
from schemas.privacy import AuditRecord, Suppression
from schemas.score import Cause, Identifiers, ModelRef, Reason, ScoreUpdate
from schemas.training import TrainingOutcome, TrainingRecord, TrainingSnapshot

_ASKED_AT: Final = datetime(2026, 11, 21, 10, 9, tzinfo=UTC)
_RECEIVED_AT: Final = datetime(2026, 11, 21, 10, 9, 0, 412_000, tzinfo=UTC)
_NEXT_CHANGE_AT: Final = datetime(2026, 11, 21, 11, 9, 0, 412_000, tzinfo=UTC)
_LEAD_ID: Final = "ld_e9668622cc074008a895bd49b6a5dbba"
_ACCOUNT_ID: Final = "ac_7c0cac0702fdb7c5f44e9cb6ad822f61"
_MODEL: Final = ModelRef(name="default", version="1", digest="3f7a90c1b2de")
_IDENTIFIERS: Final = Identifiers(
    email=("ada@example.com",), anonymous_id=("b7c1a8f2-5d0e-4a53-9d0b-2f6c1e7a9d10",)
)
_REASONS: Final = (
    Reason(
        rule="demo-requested",
        group="web",
        points=15,
        text="Asked for a demo",
        last_at=_ASKED_AT,
        count=1,
    ),
    Reason(
        rule="pricing-page",
        group="web",
        points=9.8,
        text="Looked at the prices twice",
        last_at=datetime(2026, 11, 21, 10, 5, tzinfo=UTC),
        count=2,
    ),
)

EVENT: Final = Event(
    id="ajs-9f2c44d1",
    type="track",
    name="Demo Requested",
    channel="web",
    anonymous_id=_IDENTIFIERS.anonymous_id[0],
    email=_IDENTIFIERS.email[0],
    properties={"form": "demo"},
    context={"page": {"path": "/demo"}},
    occurred_at=_ASKED_AT,
    received_at=_RECEIVED_AT,
    source="segment",
)
SCORE_UPDATE: Final = ScoreUpdate(
    lead_id=_LEAD_ID,
    sequence=7,
    score=64.5,
    previous=49.5,
    delta=15,
    tier="gold",
    previous_tier="silver",
    grade="A2",
    groups={
        "fit": 15,
        "budget": 10,
        "stage": 5,
        "web": 20,
        "email": 4.5,
        "history": 10,
    },
    reasons=_REASONS,
    cause=Cause(kind="event", event_id=EVENT.id, rule="demo-requested"),
    as_of=_RECEIVED_AT,
    next_change_at=_NEXT_CHANGE_AT,
    model=_MODEL,
    identifiers=_IDENTIFIERS,
    owner="sam",
    ledger={
        "fit": {"company-size": 10, "senior-title": 3, "target-market": 2},
        "budget": {"budget-stated": 10},
        "stage": {"consideration-stage": 5},
        "web": {"demo-requested": 15, "pricing-page": 9.8, "/group-cap": -4.8},
        "email": {"email-clicked": 4.5},
        "history": {"call-logged": 10},
    },
)
ALERT: Final = Alert(
    id="al_5d1f0c9b7e3a42d8",
    lead_id=_LEAD_ID,
    alert="hot-lead",
    kind="hot",
    episode=1,
    reason="crossed-threshold",
    score=SCORE_UPDATE.score,
    previous=SCORE_UPDATE.previous,
    threshold=60,
    tier=SCORE_UPDATE.tier,
    grade=SCORE_UPDATE.grade,
    reasons=_REASONS,
    last_events=(
        RecentEvent(at=_ASKED_AT, name=EVENT.name, channel="web", detail="demo"),
    ),
    next_action="Call within five minutes and offer two dates for the demo.",
    occurred_at=_ASKED_AT,
    decided_at=_RECEIVED_AT,
    model=_MODEL,
    identifiers=_IDENTIFIERS,
    event_id=EVENT.id,
    owner=SCORE_UPDATE.owner,
    traits={"company": "Example Ltd", "title": "VP Sales", "employees": 40},
)
MODEL_VERSION: Final = ModelVersion(
    id="primary@2026-11-21T10:00:02.000Z#3f7a90c1b2de",
    at=datetime(2026, 11, 21, 10, 0, 2, tzinfo=UTC),
    model=_MODEL,
    text="model: default\nversion: '1'\n…",
    published_at=datetime(2026, 11, 21, 10, tzinfo=UTC),
    note="Prices are worth more since the new page",
)
COMMAND: Final = Wakeup(lead_id=_LEAD_ID, at=_NEXT_CHANGE_AT)
MEMBER: Final = MemberUpdate(
    account_id=_ACCOUNT_ID,
    lead_id=_LEAD_ID,
    sequence=9,
    as_of=_RECEIVED_AT,
    score=SCORE_UPDATE.score,
    tier=SCORE_UPDATE.tier,
    grade=SCORE_UPDATE.grade,
    active_at=_ASKED_AT,
    active_days=0b1001,
    signs=(Sign(at=_ASKED_AT, points=15),),
    name="Example Ltd",
    domain="example.com",
    owner=SCORE_UPDATE.owner,
    last_event=ALERT.last_events[0],
)
ACCOUNT_SCORE: Final = AccountScore(
    account_id=_ACCOUNT_ID,
    name=MEMBER.name,
    domain=MEMBER.domain,
    sequence=12,
    score=48.2,
    previous=43.2,
    tier="silver",
    previous_tier="silver",
    members=4,
    active=3,
    qualified=True,
    top=(TopMember(lead_id=_LEAD_ID, score=MEMBER.score, tier=MEMBER.tier),),
    trend=11.4,
    as_of=_RECEIVED_AT,
    next_change_at=_NEXT_CHANGE_AT,
    model=_MODEL,
)
DELIVERY: Final = Delivery(
    target="sales-channel",
    standing="told",
    at=_RECEIVED_AT,
    alert=ALERT,
    people=("dana",),
    handle="C024BE91L/1795255742.000200",
)
SUPPRESSION: Final = Suppression(
    subject="7e1f0c5a9b3d4e2f8a6c1b0d9e8f7a6b",
    key_id="5f2c9a01",
    at=datetime(2027, 1, 4, 9, tzinfo=UTC),
)
AUDIT: Final = AuditRecord(
    kind="erasure",
    subject=SUPPRESSION.subject,
    at=SUPPRESSION.at,
    by="dpo",
    removed={"identifiers": 2, "events": 14, "traits": 6, "accounts": 1},
)
TRAINING: Final = TrainingRecord(
    lead_id=_LEAD_ID,
    sequence=SCORE_UPDATE.sequence,
    snapshots=(
        TrainingSnapshot(
            at=_RECEIVED_AT,
            why="tier:gold",
            score=SCORE_UPDATE.score,
            tier=SCORE_UPDATE.tier,
            model=_MODEL.digest,
            groups=SCORE_UPDATE.groups,
            points={"company-size": 10, "demo-requested": 15, "pricing-page": 9.8},
        ),
    ),
    outcomes=(
        TrainingOutcome(
            event_id="deal-7",
            at=datetime(2026, 12, 14, 15, tzinfo=UTC),
            kind="won",
            amount=12_000,
            currency="USD",
        ),
    ),
)
DEAD_LETTER: Final = DeadLetter(
    stage="scoring",
    reason="invalid-event",
    detail="Object missing required field `type`",
    topic="web.events.v1",
    partition=3,
    offset=81_724,
    at=_RECEIVED_AT,
)
