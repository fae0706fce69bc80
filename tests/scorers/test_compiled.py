"""A model made ready: which rules an event may match, and what figures mean."""

import pytest

from scorers.compiled import compile_model
from scorers.model import Model
from tests.scorers.living import event
from tests.scorers.small_models import CLICK, model_of, rule_of, text_of

ABSENCE = {
    "after": {"event": "Content Clicked"},
    "unless": {"event": "Content Downloaded", "channel": "content"},
    "within": "1h",
}
RULES = [
    {"name": "click", "when": CLICK, "points": 1.0},
    {"name": "social", "when": {"channel": "social"}, "points": 1.0},
    {"name": "page", "when": {"type": "page"}, "points": 1.0},
    {"name": "any", "when": {"properties.x": 1}, "points": 1.0},
    {"name": "left", "absence": ABSENCE, "points": -1.0},
    {"name": "size", "where": {"traits.age": 5}, "points": 1.0},
    {"name": "quiet", "silence": {"first": "7d"}, "points": -1.0},
]


@pytest.mark.parametrize(
    ("name", "channel", "rules"),
    [
        ("OFFER CLICKED", "web", ["click", "any"]),
        ("Offer Clicked", "social", ["click", "social", "any"]),
        ("", "web", ["page", "any"]),
        ("Content Clicked", "web", ["any", "left"]),
        ("Content Downloaded", "content", ["any", "left"]),
        ("Else", "web", ["any"]),
    ],
)
def test_candidates(name: str, channel: str, rules: list[str]) -> None:
    """Of an event's type, name and channel the rules that may match are known."""
    model = model_of(*RULES)
    found = [
        rule.name for rule in model.candidates(event(1, name=name, channel=channel))
    ]

    assert found == rules


def test_candidates_of_very_many_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many names they are found anew each time, and are the same."""
    monkeypatch.setattr("scorers.compiled._MEMORY", 2)
    model = model_of(*RULES)
    for number in (1, 2, 3, 3):
        found = model.candidates(event(1, name=f"Name {number}"))
        assert [rule.name for rule in found] == ["any"]


def test_a_rule_of_another_kind_matches_no_event() -> None:
    """A rule over traits or silence has no event, and an event rule awaits none."""
    assert not rule_of(where={"traits.age": 5}).matches(event(1))
    assert not rule_of().unless(event(1))
    assert rule_of(silence={"first": "1d"}).holds({})


@pytest.mark.parametrize("decimals", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "bound", [0.1, 0.3, 5.0, 12.3, 28.3, 28.305, 28.3000001, 33.333, 57.99, 99.9, 100.0]
)
def test_scaled(decimals: int, bound: float) -> None:
    """A bound's level is the least published score that reaches it."""
    model = model_of(decimals=decimals)
    level = model.scaled(bound)

    assert level / model.scale >= bound > (level - 1) / model.scale


def test_activity_of_its_own() -> None:
    """A model may say what is a sign of life."""
    model = model_of(activity={"channel": "email"})

    assert model.is_activity(event(1, channel="email", name="Unsubscribed"))
    assert not model.is_activity(event(1))


def test_digest_is_of_what_counts() -> None:
    """Models that differ have different digests; the same have the same."""
    texts = [text_of(RULES[0]), text_of(RULES[0]), text_of(RULES[1])]
    digests = [compile_model(Model.model_validate(text)).digest for text in texts]

    assert digests[0] == digests[1] != digests[2]
    assert len(digests[0]) == 12


def test_tiers_and_marks() -> None:
    """A tier begins at its bound; a mark as well; without a grade there is none."""
    grade = {
        "fit": {"groups": ["web"], "marks": {"A": 6.0, "B": 3.0}, "otherwise": "C"},
        "engagement": {"groups": ["web"], "marks": {"1": 5.0}, "otherwise": "2"},
    }
    tiers = [{"name": "gold", "at": 60.0}, {"name": "bronze", "at": 10.0}]
    model = model_of(tiers=tiers, grade=grade)
    scores = (60.0, 59.9, 10.0, 9.9)
    points = (6.0, 5.0, 3.0, 2.9)

    assert [model.tier_of(score) for score in scores] == [
        "gold",
        "bronze",
        "bronze",
        "none",
    ]
    assert [model.grade_of({"web": p}) for p in points] == ["A1", "B1", "B2", "C2"]
    assert model_of().grade_of({"web": 6.0}) == ""
