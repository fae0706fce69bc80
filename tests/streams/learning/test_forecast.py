"""Forecasts: what open deals bring, and how forecasts of the past did."""

import numpy as np

from schemas.time import DAY
from scorers.outcomes import Verdict
from scorers.snapshots import Example, Snapshot
from streams.learning.forecasting import back_test, deals_of, forecast, needed


def pipeline(count: int, days: int, seed: int) -> list[Example]:
    """Return deals that begin evenly, take about twenty days and are won by half."""
    chosen = np.random.default_rng(seed)
    found = []
    for place in range(count):
        at = round(place * days / count * DAY)
        ended = at + round(chosen.exponential(20) * DAY) + 1
        verdict = Verdict(won=bool(chosen.random() < 0.5), at=ended, amount=100.0)
        found.append(
            Example(
                snapshot=Snapshot(
                    lead_id=f"ld_{place}",
                    at=at,
                    why="first",
                    score=10,
                    tier="gold",
                    known={"deal_value": 100, "owner": "ada" if place % 2 else "bob"},
                ),
                verdict=verdict if ended <= days * DAY else None,
            )
        )
    return found


def test_a_steady_pipeline_is_foretold() -> None:
    """What is expected is near to the truth, parts add up, and intervals hold."""
    until = 300 * DAY
    deals = deals_of(pipeline(900, 300, seed=2), until)

    past, widening = back_test(deals, until, runs=60)
    told = forecast(deals, until, months=2, runs=200)

    assert past.forecasts > 15
    assert past.covered >= 0.7
    assert abs(past.bias) < 0.15
    assert widening >= 0.5
    expected = (
        told.open * 100 * 0.5
    )  # each is won by half, nearly all within two months
    assert abs(told.total.value / expected - 1) < 0.2
    assert told.total.low < told.total.value < told.total.high
    owners = [part for part in told.parts if part.by == "owner"]
    assert {part.name for part in owners} == {"ada", "bob"}
    assert abs(sum(p.value.value for p in owners) - told.total.value) < 1


def test_few_deals_claim_nothing() -> None:
    """Where too little has ended there is no back-test, and nothing is widened."""
    deals = deals_of(pipeline(40, 60, seed=1), 60 * DAY)

    past, widening = back_test(deals, 60 * DAY, runs=20)

    assert (past.forecasts, widening) == (0, 1.0)
    assert needed([9.0] * 4) == 1.0
    assert needed([1.0, 2.0, 3.0, 4.0, 5.0]) > 4
