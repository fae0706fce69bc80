"""Dormancy: what is left of a group's points when nobody has been heard of for long."""

import math
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.time import DAY, to_datetime
from scorers.changes import changes_since
from scorers.compiled import CompiledModel, compile_model
from scorers.curve import Part, Piece
from scorers.explanation import explain_lead
from scorers.model import Model
from scorers.phrases import dormancy_phrases
from scorers.reading import curve_of
from scorers.scorer import on_event, on_retract, on_wakeup, read
from scorers.sentences import sections
from scorers.state import LeadState
from scorers.whatif import way_up
from tests.scorers.living import event, live, prompt
from tests.strategies import START

QUIET = {
    "name": "gone-quiet",
    "title": {"en": "Gone quiet", "fa": "خاموش"},
    "groups": ["web"],
    "first": "30d",
    "then": "10d",
    "factor": 0.5,
    "floor": 0.2,
}
ALERTS = [
    {"name": "hot", "kind": "hot", "enter": 20.0, "leave": 15.0},
    {"name": "cooled", "kind": "cooled", "of": "hot"},
]


def model_of(**given: Any) -> CompiledModel:
    """Return a model in which a lead's deeds are dormant after a month."""
    text = {
        "model": "dormant",
        "version": "1",
        "groups": {
            "web": {
                "title": "Website",
                "cap": 20.0,
                "rules": [
                    {"name": "click", "when": {"event": "Offer Clicked"}, "points": 8.0}
                ],
            },
            "mail": {
                "cap": 10.0,
                "rules": [
                    {"name": "open", "when": {"event": "Email Opened"}, "points": 4.0}
                ],
            },
        },
        "dormancy": [QUIET],
        "tiers": [{"name": "gold", "at": 20.0}],
        "alerts": ALERTS,
        **given,
    }
    return compile_model(Model.model_validate(text))


MODEL = model_of()
LIFE = [event(number, number) for number in range(3)]
"""Three clicks: 24 points, of which the cap leaves 20."""


def lead(model: CompiledModel = MODEL) -> LeadState:
    """Return the lead right after its last click."""
    state = None
    for item in LIFE:
        state = on_event(model, state, item, item.now).state
    assert state is not None
    return state


LAST = LIFE[-1].now


@pytest.mark.parametrize(
    ("after", "score"),
    [
        (30 * DAY - 1, 20.0),
        (30 * DAY, 10.0),
        (40 * DAY - 1, 10.0),
        (40 * DAY, 5.0),
        (50 * DAY - 1, 5.0),
        (50 * DAY, 4.0),
        (9_000 * DAY, 4.0),
    ],
)
def test_steps(after: int, score: float) -> None:
    """Once after the first silence, once more after each step, down to the floor."""
    assert read(MODEL, lead(), LAST + after).score == score


def test_each_step_is_planned_and_told() -> None:
    """A wake-up comes at each step and at no other time, and says what it was."""
    life = live(MODEL, LIFE, LAST + 900 * DAY, prompt)
    told = [(u.as_of, u.score, u.cause.kind, u.cause.rule) for u in life.updates[3:]]

    assert told == [
        (to_datetime(LAST + days * DAY), score, "inactivity", "gone-quiet")
        for days, score in ((30, 10.0), (40, 5.0), (50, 4.0))
    ]
    assert life.state.wake_at is None


def test_an_alert_ends_at_the_step() -> None:
    """Who becomes dormant cools at that instant, though nobody looked for a year."""
    step = on_wakeup(MODEL, lead(), LAST + 365 * DAY)

    assert [(alert.kind, alert.occurred_at) for alert in step.alerts] == [
        ("cooled", to_datetime(LAST + 30 * DAY))
    ]


def test_a_sign_of_life_brings_all_back() -> None:
    """One click and the group counts in full again, with the click."""
    at = LAST + 45 * DAY
    step = on_event(MODEL, lead(), event("back", at - START), at)

    assert step.updates[-1].score == 20.0
    assert step.alerts[-1].kind == "hot"


def test_a_withdrawn_sign_of_life_takes_it_away_again() -> None:
    """What never happened ended no silence."""
    at = LAST + 45 * DAY
    back = on_event(MODEL, lead(), event("back", at - START), at).state

    assert on_retract(MODEL, back, ["back"], at).state.score == 5.0


def test_other_channels_do_not_end_it() -> None:
    """A silence on some channels lasts whatever happens on others."""
    model = model_of(dormancy=[{**QUIET, "channels": ["web"]}])
    at = LAST + 30 * DAY
    mail = event("mail", at - START, name="Email Opened", channel="email")

    assert on_event(model, lead(model), mail, at).state.score == 14.0
    assert on_event(MODEL, lead(), mail, at).state.score == 24.0


def test_what_a_group_takes_stays() -> None:
    """Nothing below zero is multiplied: silence makes no score better."""
    rules = [
        {"name": "click", "when": {"event": "Offer Clicked"}, "points": -5.0},
        {"name": "open", "when": {"event": "Email Opened"}, "points": 4.0},
    ]
    groups = {
        "web": {"cap": 20.0, "rules": rules[:1]},
        "mail": {
            "cap": 40.0,
            "rules": [
                {
                    "name": "size",
                    "where": {"traits.x": {"exists": False}},
                    "points": 30.0,
                }
            ],
        },
    }
    model = model_of(groups=groups, alerts=[])

    assert read(model, lead(model), LAST + 60 * DAY).groups["web"] == -15.0


def test_the_ledger_has_a_line_of_its_own() -> None:
    """What the silence takes stands after what the cap takes, and all of it sums."""
    reading = read(MODEL, lead(), LAST + 30 * DAY)

    assert [(line.rule, line.points, line.note) for line in reading.ledger] == [
        ("click", 24.0, ""),
        ("", -4.0, "group cap"),
        ("gone-quiet", -10.0, "dormancy"),
    ]
    assert math.fsum(line.points for line in reading.ledger) == reading.exact


def test_it_is_a_reason() -> None:
    """The reasons say what the silence takes, once for all its groups."""
    model = model_of(dormancy=[{**QUIET, "groups": ["web", "mail"]}])
    mail = event("mail", 2, name="Email Opened", channel="email")
    state = on_event(model, lead(model), mail, mail.now).state
    one = read(MODEL, lead(), LAST + 30 * DAY).reasons[-1]
    both = read(model, state, LAST + 30 * DAY).reasons[-1]

    assert (one.rule, one.group, one.points) == ("gone-quiet", "web", -10.0)
    assert one.text == "Gone quiet: only 50 % counts"
    assert one.last_at == to_datetime(LAST)
    assert (both.rule, both.group, both.points) == ("gone-quiet", "", -12.0)


@pytest.mark.parametrize(
    ("locale", "reason", "entry", "change"),
    [
        (
            "en",
            "Gone quiet, last seen on 31 Dec 2025; of Website only 50 % counts: −10",
            "Gone quiet, for Website: −10",
            "Gone quiet: −10",
        ),
        ("fa", "تنها ۵۰ درصد به حساب می‌آید", "خاموش، برای", "خاموش: "),
    ],
)
def test_it_is_said(locale: Any, reason: str, entry: str, change: str) -> None:
    """Reason, ledger and what changed speak of it in every language."""
    state = lead()
    told = explain_lead(MODEL, state, LAST + 30 * DAY)
    lines = {
        section.name: "\n".join(section.lines)
        for section in sections(MODEL, told, locale)
    }

    assert reason.replace("31 Dec 2025", "1 Jan 2026") in lines["against"]
    assert entry in lines["ledger"]
    assert change in lines["changes"]


def test_what_changed() -> None:
    """A step counts as a change of its own, with what it took before and after."""
    changes = changes_since(MODEL, lead(), LAST + 39 * DAY, LAST + 41 * DAY).changes

    assert [(c.rule, c.before, c.after, c.points) for c in changes] == [
        ("gone-quiet", -10.0, -15.0, -5.0)
    ]


def test_what_would_lift_it_counts_what_comes_back() -> None:
    """One click would bring its own points and those that are dormant."""
    way = way_up(MODEL, lead(), 20.0, LAST + 45 * DAY)

    assert [(option.rule, option.points) for option in way.options] == [
        ("click", 15.0),
        ("open", 19.0),
    ][::-1]
    assert (way.plan[0].rule, way.reaches) == ("click", 20.0)


def test_what_would_lift_it_knows_where_it_happens() -> None:
    """What happens elsewhere does not wake a group that waits for its own channel."""
    model = model_of(dormancy=[{**QUIET, "channels": ["web"]}])
    way = way_up(model, lead(model), 20.0, LAST + 45 * DAY)

    assert {option.rule: option.points for option in way.options} == {
        "click": 15.0,
        "open": 4.0,
    }


def test_what_happens_to_a_lead_wakes_nobody() -> None:
    """A delivered e-mail is no sign of life, in a promise as little as in truth."""
    groups = dict(MODEL.source.model_dump(by_alias=True)["groups"])
    groups["mail"] = {
        "cap": 10.0,
        "rules": [{"name": "got", "when": {"event": "Email Delivered"}, "points": 4.0}],
    }
    groups["web"] = {
        "cap": 20.0,
        "rules": [{"name": "click", "when": {"event": "Offer Clicked"}, "points": 8.0}],
    }
    model = model_of(groups=groups)
    way = way_up(model, lead(model), 20.0, LAST + 45 * DAY)

    assert {option.rule: option.points for option in way.options}["got"] == 4.0


def test_nobody_is_dormant_before_anything_happened() -> None:
    """A lead of whom nothing counts yet has no silence."""
    assert curve_of(MODEL, replace(lead(), first_at=0), START).lulls == ()


def test_a_model_without_it_reads_plain_groups() -> None:
    """Where the model has no dormancy there is nothing to ask."""
    model = model_of(dormancy=[])
    curve = curve_of(model, lead(model), LAST + 900 * DAY)

    assert [type(piece) for piece in curve.pieces] == [Piece]
    assert curve.lulls == ()


def test_a_group_without_points_loses_none() -> None:
    """Where there is nothing to take, the dormancy is no reason."""
    state = lead(model_of(dormancy=[{**QUIET, "groups": ["mail"]}]))
    reading = read(
        model_of(dormancy=[{**QUIET, "groups": ["mail"]}]), state, LAST + 30 * DAY
    )

    assert [reason.rule for reason in reading.reasons] == ["click"]


def test_in_words() -> None:
    """The model in words says when, of what, how much and how much at the least."""
    (told,) = dormancy_phrases(MODEL.source, "fa")

    assert (told.title, told.groups) == ("خاموش", ("web",))
    assert told.when == "۳۰ روز بی هیچ رویدادی، و دوباره هر ۱۰ روز"
    assert (told.factor, told.floor) == ("× ۰٫۵", "۲۰ درصد")
    (told,) = dormancy_phrases(MODEL.source)
    assert told.when == "nothing for 30d, and again every 10d"
    assert (told.factor, told.floor) == ("× 0.5", "20%")


def test_share_of_a_part() -> None:
    """A rule's own points are told as they are: what silence takes stands apart."""
    curve = curve_of(MODEL, lead(), LAST + 30 * DAY)

    assert [part.at(0) for piece in curve.pieces for part in piece.parts] == [24.0]
    assert isinstance(curve.pieces[0].parts[0], Part)
