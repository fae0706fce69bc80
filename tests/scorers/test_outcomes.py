"""Outcomes: what a CRM says became of leads, joined to how they were before."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.event import Event
from schemas.time import DAY, HOUR, to_instant
from scorers.compiled import CompiledModel
from scorers.outcomes import Outcome, OutcomeKind, outcome_of, verdict_of
from scorers.snapshots import Example, Instants, chronicle_of, judged
from tests.scorers.small_models import model_of

START = datetime(2026, 1, 5, tzinfo=UTC)


def told(number: int, kind: OutcomeKind, at: int, **given: Any) -> Outcome:
    return Outcome(event_id=str(number), at=at, kind=kind, **given)


def event(
    name: str, at: timedelta, received: timedelta | None = None, **given: Any
) -> Event:
    kind = "identify" if not name else "track"
    return Event(
        id=f"{name}-{at}-{received}",
        type=kind,
        name=name,
        channel="crm" if name.startswith(("Deal", "Lead")) or not name else "web",
        user_id=given.pop("who", "ada"),
        occurred_at=START + at,
        received_at=START + (at if received is None else received),
        **given,
    )


def examples(model: CompiledModel, *events: Event, **instants: Any) -> list[Example]:
    ordered = sorted(events, key=lambda one: one.now)
    return list(chronicle_of(model, ordered, Instants(**instants)).examples())


@pytest.mark.parametrize(
    ("outcomes", "won", "amount"),
    [
        ([told(1, "won", 5, amount=10)], True, 10),
        # What is told twice counts once.
        ([told(1, "won", 5, amount=10)] * 2, True, 10),
        # A correction changes the amount, and may change the verdict.
        ([told(1, "won", 5, amount=10), told(2, "corrected", 9, amount=4)], True, 4),
        ([told(1, "won", 5), told(2, "corrected", 9, won=False)], False, None),
        ([told(2, "corrected", 9, won=True, amount=3)], True, 3),
        # Reopened, it is open until something else becomes of it.
        ([told(1, "lost", 5), told(2, "reopened", 6)], None, None),
        ([told(1, "lost", 5), told(2, "reopened", 6), told(3, "won", 7)], True, None),
        # Two deals: one that is won decides, their amounts add up.
        (
            [told(1, "won", 5, deal="a", amount=1), told(2, "lost", 6, deal="b")],
            True,
            1,
        ),
        (
            [
                told(1, "won", 5, deal="a", amount=1),
                told(2, "won", 6, deal="b", amount=2),
            ],
            True,
            3,
        ),
        # Money of two currencies is not added up: the first says which counts.
        (
            [
                told(1, "won", 5, deal="a", amount=1, currency="EUR"),
                told(2, "won", 6, deal="b", amount=2, currency="JPY"),
                told(3, "won", 7, deal="c", amount=4),
            ],
            True,
            5,
        ),
        ([told(1, "qualified", 5)], None, None),
        ([told(1, "disqualified", 5)], False, None),
        # What happened at the snapshot or before is no outcome of it.
        ([told(1, "won", 2)], None, None),
    ],
)
def test_what_became_of_a_lead(
    *, outcomes: list[Outcome], won: bool | None, amount: float | None
) -> None:
    """Deals are won, lost, reopened and corrected, in whatever order one hears it."""
    for order in (outcomes, outcomes[::-1]):
        verdict = verdict_of(order, 2, 100)

        assert (None if verdict is None else verdict.won) == won
        assert (None if verdict is None else verdict.amount) == amount


def test_an_open_lead_is_censored_until_its_horizon() -> None:
    """Nobody is lost who may still be won."""
    assert judged([], 0, 50, horizon=100) is None
    lost = judged([], 0, 100, horizon=100)
    assert lost is not None
    assert not lost.won
    late = judged([told(1, "won", 150)], 0, 200, horizon=100)
    assert late is not None
    assert not late.won
    assert judged([told(1, "lost", 10)], 0, 50, horizon=100) is None


def test_what_events_say_of_deals() -> None:
    """Amount, currency, reason and deal are read off the CRM's event."""
    deal = event(
        "Deal Won",
        timedelta(),
        properties={"amount": "1,200", "currency": "eur", "deal_id": 7},
    )

    outcome = outcome_of(deal)

    assert outcome is not None
    assert (outcome.kind, outcome.amount, outcome.currency, outcome.deal) == (
        "won",
        1200.0,
        "EUR",
        "7",
    )
    assert outcome_of(event("Offer Clicked", timedelta())) is None


def test_a_feature_written_after_the_outcome_is_not_seen() -> None:
    """What the CRM writes when it knows the end is in no snapshot, however dated."""
    model = model_of(
        {"name": "page", "when": {"event": "Offer Clicked"}, "points": 5.0},
        {"name": "planted", "where": {"traits.buyer": True}, "points": 50.0},
        tiers=[{"name": "gold", "at": 5}],
        alerts=[{"name": "hot", "kind": "hot", "enter": "gold"}],
    )
    hour, day = timedelta(hours=1), timedelta(days=1)
    found = examples(
        model,
        event("Offer Clicked", timedelta()),
        event("Deal Won", 10 * day, 12 * day),
        # Dated back to before the deal, as backfilled fields are.
        event("", hour, 12 * day, traits={"buyer": True, "stage": "customer"}),
        event("Offer Clicked", 13 * day),
        after=2 * HOUR,
        every=DAY,
        alerts=True,
        tiers=True,
    )

    assert {each.snapshot.why for each in found} == {
        "first",
        "scheduled",
        "alert:hot",
        "tier:gold",
    }
    ended = to_instant(START + 10 * day)
    for each in found:
        assert each.snapshot.at < ended  # nothing is foretold after the end
        assert "planted" not in each.snapshot.points
        assert "buyer" not in each.snapshot.known
        assert each.verdict is not None
        assert each.verdict.won


def test_an_outcome_is_no_feature_of_itself() -> None:
    """An event that qualifies a lead gives points only to what is decided later."""
    model = model_of(
        {"name": "page", "when": {"event": "Offer Clicked"}, "points": 5.0},
        {"name": "won", "when": {"event": "Deal Won"}, "points": 90.0},
        tiers=[{"name": "gold", "at": 50}],
    )
    found = examples(
        model,
        event("Offer Clicked", timedelta()),
        event("Deal Won", timedelta(days=1)),
        tiers=True,
    )

    assert found == []  # gold came with the deal
