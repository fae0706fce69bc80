"""Predicates and points: what a value from a stranger passes, and what it is worth."""

from typing import Any

import pytest
from msgspec.structs import replace

from schemas.event import Event
from scorers.conditions import (
    as_number,
    compile_event_condition,
    compile_points,
    compile_test,
    compile_trait_condition,
    event_field,
    static_choices,
    trait_field,
)
from scorers.model import Condition, Model, PointsSource, Test
from tests.scorers.living import event
from tests.scorers.small_models import text_of

NOTHING: list[Any] = [None, ""]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7.0),
        (2.5, 2.5),
        ("1,200", 1200.0),
        ("1_000", 1000.0),
        ("1e3", 1000.0),
        (True, None),
        (None, None),
        ("", None),
        ("many", None),
        ("9" * 64, float("9" * 64)),
        ("9" * 65, None),
        (10**400, None),
        (float("inf"), None),
        ("nan", None),
        ([], None),
    ],
)
def test_number(value: object, number: float | None) -> None:
    """A number is a number however it is written; anything else is none."""
    assert as_number(value) == number


@pytest.mark.parametrize(
    ("test", "passing", "failing"),
    [
        ({"eq": "Ada"}, ["ADA", "ada"], ["adam", 1, None, [], True]),
        ({"eq": 5}, [5, 5.0, "5", "5.0"], [6, "five", None, True]),
        ({"eq": True}, [True, "true", "TRUE"], [False, 1, None]),
        ({"eq": False}, [False, "false"], [True, 0, None]),
        ({"ne": "ada"}, ["bo", None, 1], ["ADA"]),
        ({"in": ["a", 5, True]}, ["A", 5, "5", True, "true"], ["b", 6, None, 1, []]),
        ({"in": ["a"]}, ["A"], ["b", 5, None, {}]),
        ({"not_in": ["a", 5]}, ["b", 6, None], ["A", "5"]),
        ({"gt": 5}, [5.1, "6"], [5, None, "x"]),
        ({"gte": 5}, [5, "5"], [4.9, None]),
        ({"lt": 5}, [4.9, "-1"], [5, None]),
        ({"lte": 5}, [5], [5.1, None]),
        ({"gte": 1, "lt": 5}, [1, 4], [0, 5]),
        ({"gte": 1, "lt": 5, "ne": 3}, [1, 4], [0, 3, 5]),
        ({"matches": "^/p"}, ["/pricing"], ["/a/p", "/P", 5, None]),
        ({"starts_with": "/P"}, ["/pricing"], ["a/p", 5, None]),
        ({"ends_with": ".PDF"}, ["a.pdf"], ["a.pdfx", 5, None]),
        ({"contains": "Price"}, ["the price is"], ["cost", 5, None]),
        ({"exists": True}, [0, False, "x", []], NOTHING),
        ({"exists": False}, NOTHING, [0, False, "x"]),
    ],
    ids=lambda item: str(item) if isinstance(item, dict) else "",
)
def test_operators(
    test: dict[str, Any], passing: list[Any], failing: list[Any]
) -> None:
    """Each operator lets pass what people mean by it, and never raises."""
    passes = compile_test(Test.model_validate(test))

    assert [value for value in passing if not passes(value)] == []
    assert [value for value in failing if passes(value)] == []


PAGE: Event = replace(
    event(1, name="", path="/pricing", deep={"er": 1}),
    traits={"title": "CEO"},
    context={"page": {"url": "u"}},
    source="segment",
)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("type", "page"),
        ("channel", "web"),
        ("source", "segment"),
        ("event", ""),
        ("properties.path", "/pricing"),
        ("properties.none", None),
        ("properties.deep.er", 1),
        ("properties.path.er", None),
        ("traits.title", "CEO"),
        ("context.page.url", "u"),
        ("context.page", {"url": "u"}),
    ],
)
def test_event_field(path: str, value: object) -> None:
    """Each path reads its field; what is absent is nothing."""
    assert event_field(path)(PAGE) == value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("traits.title", "CEO"),
        ("traits.none", None),
        ("traits.address.city", "Bonn"),
        ("traits.title.city", None),
        ("properties.title", None),
    ],
)
def test_trait_field(path: str, value: object) -> None:
    """Each path reads a lead's trait; nothing else belongs to a lead."""
    assert trait_field(path)({"title": "CEO", "address": {"city": "Bonn"}}) == value


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"type": "page"}, True),
        ({"type": "page", "channel": "email"}, False),
        ({"type": "page", "channel": "web", "source": "segment"}, True),
        ({"type": "page", "channel": "web", "source": "other"}, False),
        ({"all": [{"type": "page"}, {"channel": "web"}]}, True),
        ({"all": [{"type": "page"}, {"channel": "email"}]}, False),
        ({"any": [{"type": "track"}, {"channel": "web"}]}, True),
        ({"any": [{"type": "track"}, {"channel": "email"}]}, False),
        ({"not": {"type": "track"}}, True),
        ({"not": {"any": [{"type": "track"}, {"channel": "web"}]}}, False),
        ({"type": "page", "not": {"properties.path": "/pricing"}}, False),
    ],
    ids=str,
)
def test_conditions(condition: dict[str, Any], *, holds: bool) -> None:
    """All pairs must hold; all, any and not nest."""
    compiled = compile_event_condition(Condition.model_validate(condition))

    assert compiled(PAGE) is holds


def test_trait_conditions() -> None:
    """A condition over traits reads the lead's latest traits."""
    holds = compile_trait_condition(Condition.model_validate({"traits.title": "ceo"}))

    assert holds({"title": "CEO"})
    assert not holds({})


def points_source(given: dict[str, Any]) -> PointsSource:
    """Return points that are read off a trait."""
    rule = {"name": "r", "points": {"of": "traits.x", **given}}
    points = Model.model_validate(text_of(rule)).groups["web"].rules[0].points
    assert not isinstance(points, float)
    return points


PER = {"per": 10.0, "points": 5.0, "min": -2.0, "max": 10.0}
LADDER = {"ladder": [{"at": 1.0, "points": 2.0}, {"at": 5.0, "points": 4.0}]}
TABLE = {"values": {"Gold": 5.0, "10": 3.0, "2000000": 4.0, "true": 2.0}}


@pytest.mark.parametrize(
    ("source", "value", "points"),
    [
        (PER, 10, 5.0),
        (PER, "15", 7.5),
        (PER, 500, 10.0),
        (PER, -500, -2.0),
        (PER, None, 0.0),
        (PER, "many", 0.0),
        ({**PER, "per": 0.1, "points": 0.0}, 1e308, 0.0),
        ({**PER, "per": 0.1}, 1e308, 10.0),
        (LADDER, 0.9, 0.0),
        (LADDER, 1, 2.0),
        (LADDER, "4.9", 2.0),
        (LADDER, 5, 4.0),
        (LADDER, 900, 4.0),
        (LADDER, None, 0.0),
        (TABLE, "GOLD", 5.0),
        (TABLE, 10, 3.0),
        (TABLE, "10", 3.0),
        (TABLE, 2_000_000, 4.0),
        (TABLE, True, 2.0),
        (TABLE, "tin", 0.0),
        (TABLE, 11, 0.0),
        (TABLE, None, 0.0),
        (TABLE, "", 0.0),
        (TABLE, [], 0.0),
        ({**TABLE, "otherwise": 1.0}, "tin", 1.0),
        ({**TABLE, "otherwise": 1.0}, 11, 1.0),
        ({**TABLE, "otherwise": 1.0}, {}, 0.0),
        ({**TABLE, "otherwise": 1.0}, None, 0.0),
    ],
)
def test_points(source: dict[str, Any], value: object, points: float) -> None:
    """Points are read off a value; an unknown one gives nothing."""
    assert compile_points(points_source(source))(value) == points


@pytest.mark.parametrize(
    ("condition", "choices"),
    [
        ({"event": "Demo Requested"}, {"demo requested"}),
        ({"event": ["A", "B"]}, {"a", "b"}),
        ({"event": {"starts_with": "A"}}, None),
        ({"event": {"in": ["A", 5]}}, None),
        ({"type": "page"}, None),
        ({"all": [{"type": "page"}, {"event": "A"}]}, {"a"}),
        ({"any": [{"event": "A"}, {"event": "B"}]}, {"a", "b"}),
        ({"any": [{"event": "A"}, {"type": "page"}]}, None),
        ({"not": {"event": "A"}}, None),
    ],
)
def test_static_choices(condition: dict[str, Any], choices: set[str] | None) -> None:
    """What an event must be called to match is known before it comes, if it is."""
    found = static_choices(Condition.model_validate(condition), "event")

    assert found == (None if choices is None else frozenset(choices))
