"""Training records: the same, however often and in whatever order things are told."""

import random
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec.structs import replace

from schemas.alert import Alert
from schemas.event import Event
from schemas.examples import ALERT, SCORE_UPDATE
from schemas.score import ScoreUpdate
from schemas.time import DAY, to_instant
from schemas.training import TrainingRecord
from scorers.training import (
    encode_record,
    examples_of,
    with_alert,
    with_event,
    with_outcome,
    with_update,
)

START = datetime(2026, 1, 5, tzinfo=UTC)


def update(number: int, at: timedelta, score: float, tier: str) -> ScoreUpdate:
    changed = {
        "sequence": number,
        "as_of": START + at,
        "score": score,
        "delta": 1.0,
        "tier": tier,
        "previous_tier": "none",
        "ledger": {"web": {"demo": score, "/group-cap": -1.0}},
    }
    return replace(SCORE_UPDATE, **changed)


def alert(at: timedelta) -> Alert:
    return replace(ALERT, decided_at=START + at)


def deal(at: timedelta) -> Event:
    return Event(
        id="deal",
        type="track",
        name="Deal Won",
        channel="crm",
        user_id="ada",
        occurred_at=START + at,
        properties={"amount": 50},
    )


UPDATES = [
    update(1, timedelta(hours=1), 5, "none"),
    update(2, timedelta(hours=2), 65, "gold"),
    update(3, timedelta(days=9), 20, "none"),
]
ALERTS = [alert(timedelta(hours=2))]
DEALS = [deal(timedelta(days=10))]


def test_a_record_is_the_same_in_any_interleaving() -> None:
    """Topics overtake one another and repeat themselves; bytes do not notice."""
    chance = random.Random(1)
    records = set()
    for _ in range(50):
        queues = [list(UPDATES), list(ALERTS), list(DEALS)]
        record, done = TrainingRecord(lead_id="ld_a"), [0, 0, 0]
        while any(done[i] < len(queue) for i, queue in enumerate(queues)):
            which = chance.choice(
                [i for i, queue in enumerate(queues) if done[i] < len(queue)]
            )
            told = queues[which][done[which]]
            done[which] += 1
            if chance.random() < 0.3:  # what follows comes again from somewhat before
                done[which] = max(0, done[which] - 1)
            if isinstance(told, ScoreUpdate):
                record = with_update(record, told)
            elif isinstance(told, Alert):
                record = with_alert(record, told)
            else:
                record = with_outcome(record, told)
        records.add(encode_record(record))

    assert len(records) == 1


def test_examples_hold_the_points_of_the_instant() -> None:
    """Tier, alert and week's end are decisions; each has the points it stood on."""
    record = TrainingRecord(lead_id="ld_a")
    for each in UPDATES:
        record = with_update(record, each)
    record = with_outcome(with_alert(record, ALERTS[0]), DEALS[0])
    until = to_instant(START) + 30 * DAY

    found = list(examples_of([record], until))

    assert [each.snapshot.why for each in found] == [
        "alert:hot-lead",
        "tier:gold",
        "scheduled",
    ]
    for each in found:
        assert each.snapshot.points == {"demo": 65.0}
        assert each.verdict is not None
        assert each.verdict.amount == 50


def test_what_became_of_a_person_counts_for_all_their_leads() -> None:
    """A lead that became part of another has the other's outcome."""
    cookie = TrainingRecord(lead_id="ld_cookie", merged_into="ld_ada")
    for each in UPDATES:
        cookie = with_update(cookie, each)
    person = with_outcome(TrainingRecord(lead_id="ld_ada"), DEALS[0])

    found = list(examples_of([cookie, person], to_instant(START) + 30 * DAY))

    assert {each.snapshot.lead_id for each in found} == {"ld_ada"}
    assert all(each.verdict and each.verdict.won for each in found)


def said(at: timedelta, name: str = "", **known: object) -> Event:
    """Return what the CRM says of the lead: a fact by its event, else traits."""
    return Event(
        id=f"{at}{name}",
        type="track" if name else "identify",
        name=name,
        channel="crm",
        user_id="ada",
        occurred_at=START,  # dated back: what counts is when it was received
        received_at=START + at,
        properties=dict(known) if name else {},
        traits={} if name else dict(known),
    )


def test_decisions_know_owner_source_stage_and_value_of_their_time() -> None:
    """What the CRM says later is not known before, however it is dated."""
    hour = timedelta(hours=1)
    words = [
        said(hour, lead_source="web", deal_value=900, lifecycle_stage="lead", age=7),
        said(timedelta(days=2), "Stage Changed", stage="opportunity"),
        said(timedelta(days=20), deal_value=5_000, lead_source="fair"),
    ]
    record = TrainingRecord(lead_id="ld_a")
    for each in (*words, words[0], words[1]):  # some are told again
        record = with_event(record, each)
    for told in UPDATES:
        record = with_update(record, replace(told, owner="grace"))

    tier, week = examples_of([record], to_instant(START) + 30 * DAY)

    assert tier.snapshot.known == {
        "lead_source": "web",
        "deal_value": 900.0,
        "lifecycle_stage": "lead",
        "owner": "grace",
    }
    assert week.snapshot.known == {
        **tier.snapshot.known,
        "lifecycle_stage": "opportunity",
    }
    assert len(record.words) == 6
    assert with_event(record, deal(timedelta(days=21))).words == record.words


def test_records_of_before_are_read() -> None:
    """What was written when nobody was told by owner or stage is still understood."""
    old = b'{"lead_id":"ld_a","sequence":3,"snapshots":[{"at":"2026-01-05T02:00:00Z",'
    old += b'"why":"tier:gold","score":65,"tier":"gold","model":"0123456789ab"}]}'

    (found,) = examples_of([msgspec.json.decode(old, type=TrainingRecord)], 2**42)

    assert (found.snapshot.known, found.snapshot.score) == ({}, 65)
