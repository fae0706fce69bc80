"""Two models over the same events: what is different, and by how much."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from schemas.event import Event
from schemas.time import HOUR, MINUTE
from scorers.comparison import Sample, busiest_hour, compare, live, ranking_quality
from scorers.compiled import CompiledModel, compile_model
from scorers.loading import load_model

START = datetime(2026, 1, 5, tzinfo=UTC)
TEXT = """\
model: example
version: "1"
groups:
  web:
    cap: 100
    rules:
      - {name: page, when: {type: page}, points: 10}
      - {name: demo, when: {event: Demo Requested}, points: 30}
tiers:
  - {name: gold, at: 50}
  - {name: silver, at: 20}
alerts:
  - {name: hot-lead, kind: hot, enter: gold}
"""


def model(*changes: tuple[str, str]) -> CompiledModel:
    text = TEXT
    for before, after in changes:
        text = text.replace(before, after)
    return compile_model(load_model(text, "model.yaml"))


def event(number: int, who: str, at: timedelta, name: str = "") -> Event:
    return Event(
        id=f"{who}-{number}",
        type="track" if name else "page",
        name=name,
        channel="web",
        user_id=who,
        occurred_at=START + at,
    )


def day() -> Iterator[Event]:
    """Ada sees five pages, one an hour; Bob sees one and asks for a demo."""
    for number in range(5):
        yield event(number, "ada", timedelta(hours=number))
    yield event(1, "bob", timedelta(hours=5))
    yield event(2, "bob", timedelta(hours=6), "Demo Requested")


def test_a_model_against_itself_changes_nothing() -> None:
    """Twice the same model: no tier changes, every alert is the same."""
    found = compare(live(model(), day()), live(model(), day()))

    assert (found.tiers, found.gained, found.lost, found.same) == ((), (), (), 1)
    assert found.earlier == found.later == ()


def test_more_points_make_an_alert_earlier_and_one_gained() -> None:
    """A page worth more: Ada is told of two hours earlier, and Bob is told of."""
    richer = model(("points: 10", "points: 20"))
    found = compare(live(model(), day()), live(richer, day()))

    assert [moved.by for moved in found.earlier] == [-2 * HOUR]
    assert len(found.gained) == 1
    assert found.lost == ()
    assert [(c.before, c.after) for c in found.tiers] == [("silver", "gold")]


def test_fewer_points_lose_an_alert() -> None:
    """A page worth less: Ada does not become gold any more."""
    found = compare(
        live(model(), day()), live(model(("points: 10", "points: 9")), day())
    )

    assert [alert.alert for alert in found.lost] == ["hot-lead"]
    assert found.gained == ()
    assert [(c.before, c.after) for c in found.tiers] == [("gold", "silver")]


def test_a_dwell_makes_an_alert_later() -> None:
    """An alert that waits for ten minutes comes ten minutes later."""
    waiting = model(("enter: gold", "enter: gold, dwell: 10m"))
    found = compare(live(model(), day()), live(waiting, day()))

    assert [moved.by for moved in found.later] == [10 * MINUTE]


def test_the_load_is_told_per_hour() -> None:
    """One alert in six hours, and one in the busiest hour."""
    life = live(model(), day())

    assert len(life.alerts) / life.hours == pytest.approx(1 / 6)
    assert busiest_hour(life) == 1


def test_an_outcome_is_held_against_the_score_before_it() -> None:
    """The score of a lead is noted as it was just before sales said how it ended."""
    events = [
        *day(),
        event(9, "ada", timedelta(hours=7), "Deal Won"),
        event(9, "bob", timedelta(hours=7), "Deal Lost"),
    ]
    life = live(model(), events)

    assert set(life.samples) == {Sample(50.0, won=True), Sample(40.0, won=False)}
    assert ranking_quality(life.samples) == 1.0


@pytest.mark.parametrize(
    ("samples", "quality"),
    [
        ([], None),
        ([(1, True)], None),
        ([(2, True), (1, False)], 1.0),
        ([(1, True), (2, False)], 0.0),
        ([(1, True), (1, False)], 0.5),
        ([(3, True), (1, True), (2, False), (2, False)], 0.5),
    ],
)
def test_the_ranking_is_judged_by_pairs(
    samples: list[tuple[float, bool]], quality: float | None
) -> None:
    """Of all pairs of a won and a lost lead: the share that is ranked right."""
    assert ranking_quality(Sample(*sample) for sample in samples) == quality


ACCOUNTS = """\
accounts:
  alerts:
    - {name: group, kind: account-surge, people: 2, within: 1h, cooldown: 1d}
"""


def colleagues() -> Iterator[Event]:
    """Two people of one company within half an hour, again the day after."""
    for number, hours in enumerate((0, 0.5, 30, 30.5, 31)):
        item = event(number, "anybody", timedelta(hours=hours))
        name = ("ada", "bob")[number % 2]
        yield replace(item, user_id=None, email=f"{name}@acme.example")


def test_alerts_of_accounts_are_compared_too() -> None:
    """A model that asks for more people loses both surges; a longer dwell is later."""
    plain = model((TEXT, TEXT + ACCOUNTS))
    three = model((TEXT, TEXT + ACCOUNTS.replace("people: 2", "people: 3")))
    later = model((TEXT, TEXT + ACCOUNTS.replace("1d", "1d, dwell: 10m")))
    before = live(plain, colleagues())

    assert list(before.accounts.values()) == ["silver"]
    assert [a.alert for a in compare(before, live(three, colleagues())).lost] == [
        "group",
        "group",
    ]
    moved = compare(before, live(later, colleagues())).later
    assert [(each.alert.alert, each.by) for each in moved] == 2 * [
        ("group", 10 * MINUTE)
    ]
