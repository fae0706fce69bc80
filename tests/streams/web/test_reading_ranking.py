"""What the quality page knows: conversion, lift, reliability, models, the forecast."""

from pathlib import Path

import msgspec
import pytest

from schemas.time import DAY, Instant, to_datetime
from schemas.topics import TRAINING
from schemas.training import TrainingOutcome, TrainingRecord, TrainingSnapshot
from scorers.model import Value
from streams.web.reading.foretold import latest_forecast
from streams.web.reading.ranking import (
    RankingBook,
    RankingReport,
    Standing,
    ranking_report,
)

NOW: Instant = 1_795_255_200_000
TIERS = ("gold", "silver", "bronze")


def shot(score: float, tier: str, at: Instant, model: str = "m1") -> TrainingSnapshot:
    return TrainingSnapshot(
        at=to_datetime(at), why="scheduled", score=score, tier=tier, model=model
    )


def outcome(kind: str, at: Instant, amount: float | None = None) -> TrainingOutcome:
    return TrainingOutcome(
        event_id=f"{kind}{at}",
        at=to_datetime(at),
        kind=kind,  # type: ignore[arg-type] # spelt by the tests below
        amount=amount,
        currency="EUR",
    )


def put(book: RankingBook, record: TrainingRecord) -> None:
    book.take(TRAINING, record.lead_id, msgspec.json.encode(record))


def standing(
    score: float, *, won: bool, at: Instant = NOW, model: str = "m"
) -> Standing:
    tier = "gold" if score >= 60 else "silver" if score >= 40 else "none"
    return Standing(
        score=score, tier=tier, model=model, at=at, won=won, amount=10.0 * won,
        currency="EUR",
    )  # fmt: skip


def report_of(found: list[Standing]) -> RankingReport:
    return ranking_report(found, TIERS, known=len(found), until=NOW)


def test_two_currencies_are_never_added_up() -> None:
    """Amounts are in the currency of most who were won; the others are counted."""
    euros = [standing(70, won=True), standing(65, won=True), standing(20, won=False)]
    dollar = msgspec.structs.replace(standing(68, won=True), currency="USD")
    unnamed = msgspec.structs.replace(standing(62, won=True), currency="")
    report = report_of([dollar, *euros, unnamed])
    assert (report.amount, report.currency, report.otherwise) == (30.0, "EUR", 1)
    assert report.won == 4
    gold = next(each for each in report.tiers if each.name == "gold")
    assert (gold.won, gold.amount) == (4, 30.0)


def test_a_lead_counts_once_at_its_best_before_the_outcome() -> None:
    """What it scored after the deal was won tells nothing of the ranking."""
    book = RankingBook()
    put(
        book,
        TrainingRecord(
            lead_id="a",
            snapshots=(
                shot(45, "silver", NOW - 5 * DAY),
                shot(70, "gold", NOW - 4 * DAY),
                shot(99, "gold", NOW - DAY),
            ),
            outcomes=(outcome("won", NOW - 2 * DAY, 900.0),),
        ),
    )
    put(book, TrainingRecord(lead_id="b", snapshots=(shot(10, "none", NOW - DAY),)))
    report = book.report(TIERS)
    assert (report.leads, report.won, report.known) == (1, 1, 2)
    assert (report.amount, report.currency) == (900.0, "EUR")
    assert [(each.name, each.leads) for each in report.tiers] == [
        ("gold", 1), ("silver", 0), ("bronze", 0),
    ]  # fmt: skip
    assert [each.leads for each in report.bands] == [0] * 7 + [1, 0, 0]


def test_erased_people_and_later_records_replace_earlier_ones() -> None:
    """The latest record of a lead is the whole; a tombstone leaves nothing."""
    book = RankingBook()
    record = TrainingRecord(
        lead_id="a",
        snapshots=(shot(45, "silver", NOW - 5 * DAY),),
        outcomes=(outcome("lost", NOW - 2 * DAY),),
    )
    put(book, record)
    put(book, record)
    assert book.report(TIERS).leads == 1
    book.take(TRAINING, "a", None)
    book.take(TRAINING, "x", b"not a record")
    assert (book.report(TIERS).leads, book.report(TIERS).known) == (0, 0)


def test_a_person_who_was_two_leads_is_one() -> None:
    """What became of a person counts for every lead that turned out to be them."""
    book = RankingBook()
    put(
        book,
        TrainingRecord(
            lead_id="a",
            snapshots=(shot(50, "silver", NOW - 5 * DAY),),
            merged_into="b",
        ),
    )
    put(
        book,
        TrainingRecord(
            lead_id="b",
            snapshots=(shot(30, "none", NOW - 4 * DAY),),
            outcomes=(outcome("won", NOW - DAY),),
        ),
    )
    report = book.report(TIERS)
    assert (report.leads, report.won) == (1, 1)
    assert report.tiers[1].leads == 1


def test_a_perfect_ranking_and_none_at_all() -> None:
    """Lift, gains and AUC say which ranking tells and which does not."""
    perfect = report_of(
        [standing(90, won=True) for _ in range(25)]
        + [standing(10, won=False) for _ in range(75)]
    )
    assert perfect.auc is not None
    assert perfect.auc.value == 1.0
    assert {each.percent: each.lift for each in perfect.lifts}[20] == pytest.approx(4)
    assert perfect.gains[0] == (0.0, 0.0)
    assert perfect.gains[-1] == (1.0, 1.0)
    none = report_of([standing(50, won=number % 4 == 0) for number in range(100)])
    assert none.auc is not None
    assert none.auc.value == 0.5
    assert all(each.lift == pytest.approx(1) for each in none.lifts)


def test_reliability_is_judged_by_leads_that_were_not_learnt_from() -> None:
    """What the earlier half says of a score is held against the later half."""
    found = []
    for half in (0, 1):
        for number in range(100):
            at = NOW + half * DAY + number
            found += [
                standing(80, won=number % 2 == 0, at=at),
                standing(20, won=number % 10 == 0, at=at),
            ]
    low, high = report_of(found).reliability
    assert low.foretold == pytest.approx(0.1, abs=0.02)
    assert low.fact.low < 0.1 < low.fact.high
    assert high.foretold == pytest.approx(0.5, abs=0.02)
    assert high.leads == 100


def test_models_are_told_apart() -> None:
    """Each version has its own figures, the latest first; too few leads have none."""
    old = [
        standing(90 - number, won=number % 2 == 0, model="old") for number in range(60)
    ]
    new = [standing(90, won=True, at=NOW + DAY, model="new")]
    first, second = report_of(old + new).models
    assert (first.digest, first.auc, first.lift_20) == ("new", None, None)
    assert second.auc is not None
    assert second.leads == 60


def test_few_outcomes_draw_no_curves() -> None:
    """Nothing is claimed that a handful of leads cannot show."""
    report = report_of([standing(90, won=True), standing(10, won=False)])
    assert report.gains == report.lifts == report.reliability == ()
    assert report.tiers[0].share.low < 0.25, "one lead of one is no certainty"
    assert report_of([]).auc is None


def test_the_latest_readable_forecast_is_shown(tmp_path: Path) -> None:
    """What is no forecast is passed over; no folder and an empty one are none."""
    pytest.importorskip("numpy")
    from streams.learning.forecast_page import foretold
    from streams.learning.pages import Page, write_report

    assert latest_forecast(None) is None
    assert latest_forecast(tmp_path / "nowhere") is None
    (tmp_path / "broken.forecast.json").write_text("{", "utf-8")
    assert latest_forecast(tmp_path) is None
    told = foretold("training", [], NOW, value=Value(currency="EUR"), runs=100)
    write_report(tmp_path, "training.forecast", Page("t", "w"), told)
    found = latest_forecast(tmp_path)
    assert found is not None
    assert found.told.forecast.currency == "EUR"
    assert found.told.back_test.forecasts == 0
