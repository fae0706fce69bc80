"""Forecasts: what open deals bring, and how forecasts of the past did."""

import numpy as np
from msgspec.structs import replace

from schemas.time import DAY
from scorers.model import Value
from scorers.outcomes import Verdict
from scorers.snapshots import Example, Snapshot
from streams.learning.back_testing import back_test
from streams.learning.currencies import in_one_currency
from streams.learning.deals import deals_of
from streams.learning.forecast_page import about_money, forecast_page, foretold
from streams.learning.forecasting import forecast, months_after
from streams.learning.misses import Track, Tracks


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

    past, tracks = back_test(deals, until, months=2, runs=40, every=7 * DAY)
    told = forecast(deals, until, months=2, runs=200, tracks=tracks)

    assert past.forecasts > 15
    assert past.covered >= 0.7
    assert abs(past.bias) < 0.2
    assert {(each.start, each.end) for each in past.reaches} == {
        *((0, 7), (0, 14), (0, 30), (30, 60), (0, 60))
    }
    expected = (
        told.open * 100 * 0.5
    )  # each is won by half, nearly all within two months
    assert abs(told.total.value / expected - 1) < 0.2
    assert told.total.low < told.total.value < told.total.high
    owners = [part for part in told.parts if part.by == "owner"]
    assert {part.name for part in owners} == {"ada", "bob"}
    assert abs(sum(p.value.value for p in owners) - told.total.value) < 1


def test_few_deals_claim_nothing() -> None:
    """Where too little has ended there is no back-test, and nothing is foretold."""
    deals = deals_of(pipeline(40, 60, seed=1), 60 * DAY)

    past, tracks = back_test(deals, 60 * DAY, runs=20)
    told = forecast(deals, 60 * DAY, runs=20, tracks=tracks)

    assert (past.forecasts, past.reaches) == (0, ())
    assert (told.total.value, told.total.high) == (0.0, 0.0)


def test_the_same_seed_foretells_the_same() -> None:
    """A forecast and its back-test are the same whenever they are made anew."""
    deals = deals_of(pipeline(300, 200, seed=3), 200 * DAY)

    def told() -> tuple[object, object]:
        past, tracks = back_test(deals, 200 * DAY, runs=20, every=20 * DAY)
        return past, forecast(deals, 200 * DAY, runs=50, tracks=tracks)

    assert told() == told()


def test_past_forecasts_know_nothing_of_the_future() -> None:
    """What happens after a forecast of the past does not change it."""
    chosen = pipeline(400, 200, seed=4)
    early = [each for each in chosen if each.snapshot.at < 100 * DAY]
    deals, short = deals_of(chosen, 200 * DAY), deals_of(early, 200 * DAY)

    later = forecast(deals, 100 * DAY, runs=50)
    assert later == forecast(short, 100 * DAY, runs=50)
    assert later.open > 0


def test_misses_move_and_spread_the_next_forecast() -> None:
    """Forecasts that were always too high are lowered; erratic ones are widened."""
    steady, erratic = Track(30), Track(30)
    for place in range(12):
        at = place * 30 * DAY
        steady.note(at, at + 30 * DAY, 100.0, 50.0)
        erratic.note(at, at + 30 * DAY, 100.0, 30.0 if place % 2 else 300.0)
    now, runs = 400 * DAY, np.full(200, 100.0)

    low, wide = steady.spread(now), erratic.spread(now)
    half = low.around(runs)
    assert 50 <= half.value < 60
    assert half.low < half.value < half.high < 100
    assert wide.around(runs).high - wide.around(runs).low > 3 * (half.high - half.low)
    first = steady.spread(0)
    assert (first.checked, first.factor) == (0, 1.0)
    assert Tracks(1).total(30, now).checked == 0


def test_a_day_that_is_left_of_a_month_is_part_of_the_next() -> None:
    """Months end at the first instant of the next, and none is shorter than a day."""
    hour = DAY // 24
    assert months_after(31 * DAY - hour, 2) == [59 * DAY, 90 * DAY]
    assert months_after(29 * DAY, 1) == [31 * DAY]


def paid_in(currency: str, found: list[Example], name: str = "") -> list[Example]:
    """Return the deals with the currency named by those that ended."""
    return [
        replace(
            each,
            snapshot=replace(each.snapshot, lead_id=f"{name}{each.snapshot.lead_id}"),
            verdict=each.verdict and replace(each.verdict, currency=currency),
        )
        for each in found
    ]


def test_a_forecast_is_in_the_currency_of_the_deals() -> None:
    """What outcomes name counts, not what the model says where they are silent."""
    until = 60 * DAY
    euros = paid_in("EUR", pipeline(40, 60, seed=6))

    found = foretold("euros", euros, until, value=Value(), runs=20)

    assert (found.forecast.currency, found.left_out) == ("EUR", {})
    assert found.forecast.open > 0
    assert about_money(found) == [], "nothing that needs to be told"
    assert "EUR" in forecast_page("euros", found).text()


def test_several_currencies_are_never_added_up() -> None:
    """The one that most deals have is foretold; the others are told, not counted."""
    until = 60 * DAY
    euros = [e for e in paid_in("EUR", pipeline(40, 60, seed=6)) if e.verdict]
    yen = [e for e in paid_in("JPY", pipeline(20, 60, seed=7), "yen_") if e.verdict]

    both = foretold("two", euros + yen, until, value=Value(), runs=20)
    kept = in_one_currency(euros + yen, Value())
    other = in_one_currency(euros + yen, Value(), "JPY")

    assert (kept.examples, kept.left_out) == (euros, {"JPY": len(yen)})
    assert (other.examples, other.left_out) == (yen, {"EUR": len(euros)})
    assert both.left_out == kept.left_out
    assert f"left out, {len(yen)} in JPY" in about_money(both)[0]
    assert "JPY" in forecast_page("two", both).text()


def test_what_was_won_in_another_currency_was_not_won_in_this() -> None:
    """An open deal of which nothing is known is not foretold twice over."""
    euros, yen = (
        [
            replace(each, snapshot=replace(each.snapshot, known={}))
            for each in paid_in(name, pipeline(20, 60, seed=9), name)
            if each.verdict and each.verdict.won
        ]
        for name in ("EUR", "JPY")
    )
    unknown = [replace(each, verdict=None) for each in euros[:3]]
    open_deals = [
        replace(each, snapshot=replace(each.snapshot, lead_id=f"open_{place}"))
        for place, each in enumerate(unknown)
    ]

    found = in_one_currency(euros + yen + open_deals, Value(), "EUR")

    assert len(found.examples) == len(euros) + len(yen) + len(open_deals)
    won = [each for each in found.examples if each.verdict and each.verdict.won]
    assert won == euros
    assert found.left_out == {"JPY": len(yen)}


def test_money_without_a_currency_is_in_that_of_the_model() -> None:
    """A model that says its currency is believed where leads are silent."""
    silent = pipeline(30, 60, seed=8)
    euros = paid_in("EUR", pipeline(10, 60, seed=8), "eur_")
    euros = [each for each in euros if each.verdict]

    said = in_one_currency(silent + euros, Value(currency="GBP"))
    unsaid = in_one_currency(silent + euros, Value())

    assert (said.currency, said.left_out, said.unnamed) == (
        "GBP",
        {"EUR": len(euros)},
        30,
    )
    assert (unsaid.currency, unsaid.left_out, unsaid.unnamed) == ("EUR", {}, 30)
