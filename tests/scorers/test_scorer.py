"""The reducer: what follows from one input, and why."""

from typing import Any

import pytest
from msgspec.structs import replace

from schemas.event import Event
from schemas.time import DAY, HOUR, MINUTE, to_datetime, to_instant
from scorers.scorer import (
    on_backfill,
    on_event,
    on_model_change,
    on_retract,
    on_wakeup,
    read,
)
from scorers.state import LeadState
from tests.scorers.living import event, live, prompt
from tests.scorers.small_models import CLICK, model_of
from tests.strategies import START

SCORE = {"name": "click", "when": CLICK, "points": 20.0}
FADING = {**SCORE, "decay": {"half_life": "1d"}}
GOLD = [{"name": "gold", "at": 20.0}, {"name": "bronze", "at": 5.0}]
HOT = [
    {"name": "hot", "kind": "hot", "enter": "gold"},
    {"name": "cooled", "kind": "cooled", "of": "hot"},
]


# ── events ──────────────────────────────────────────────────────────────────────


def test_first_event_is_always_told() -> None:
    """A new lead's zero is published as zero."""
    step = on_event(model_of(), None, event(1), START)

    assert [(u.score, u.previous, u.sequence) for u in step.updates] == [(0.0, 0.0, 1)]
    assert step.updates[0].tier == "none"
    assert step.state.wake_at is None


def test_event_of_nobody() -> None:
    """An event without a legal identifier belongs to nobody, and says so."""
    nobody = replace(event(1), user_id="null")
    with pytest.raises(ValueError, match="belongs to nobody"):
        on_event(model_of(), None, nobody, START)


def test_update_says_what_changed() -> None:
    """An update has the score, tiers, groups, reasons, cause and the next change."""
    model = model_of(FADING, tiers=GOLD)
    one = on_event(model, None, event(1), START).state
    step = on_event(model, one, event(2, DAY), START + DAY)
    update = step.updates[-1]

    assert (update.score, update.previous, update.delta) == (30.0, 19.9, 10.1)
    assert (update.tier, update.previous_tier) == ("gold", "bronze")
    assert update.groups == {"web": 30.0}
    assert [(r.rule, r.points, r.count) for r in update.reasons] == [("click", 30.0, 2)]
    assert (update.cause.kind, update.cause.event_id) == ("event", "2")
    assert update.as_of == to_datetime(START + DAY)
    assert update.next_change_at == to_datetime(step.state.wake_at or 0)


def test_silence_between_events_is_settled_first() -> None:
    """A tier that was left in between is told, with the instant at which it was."""
    model = model_of(FADING, tiers=GOLD)
    one = on_event(model, None, event(1), START).state
    step = on_event(model, one, event(2, 9 * DAY), START + 9 * DAY)

    tiers = [(u.previous_tier, u.tier, u.cause.kind) for u in step.updates]
    assert tiers == [
        ("gold", "bronze", "decay"),
        ("bronze", "none", "decay"),
        ("none", "gold", "event"),
    ]
    at = [to_instant(u.as_of) for u in step.updates]
    assert START < at[0] < at[1] < at[2] == START + 9 * DAY
    assert read(model, one, at[1]).score == 4.9
    assert read(model, one, at[1] - 1).score == 5.0


def test_earlier_receipt_than_the_last() -> None:
    """What was received earlier than the last input counts at the last one."""
    model = model_of(FADING)
    one = on_event(model, None, event(1, 2 * DAY), START + 2 * DAY).state
    step = on_event(model, one, event(2, DAY), START + DAY)

    assert step.state.now == START + 2 * DAY
    assert step.updates[-1].score == 30.0
    assert step.updates[-1].as_of == to_datetime(START + 2 * DAY)


def test_machine_gives_nothing() -> None:
    """What a machine did is known, identifies the lead, and gives nothing."""
    scanner = replace(event(1, machine=True), email="ada@example.com")
    step = on_event(model_of(SCORE), None, scanner, START)

    assert step.updates[-1].score == 0.0
    assert step.state.emails == ("ada@example.com",)
    assert on_event(model_of(SCORE), step.state, scanner, START).outcome == "duplicate"
    assert not step.state.first_at


def test_grade_and_owner_alone_are_told() -> None:
    """A new owner, or a new grade, is an update even where the score stays."""
    grade = {
        "fit": {"groups": ["web"], "marks": {"A": 5.0}, "otherwise": "D"},
        "engagement": {"groups": ["web"], "marks": {"1": 5.0}, "otherwise": "4"},
    }
    model = model_of(SCORE, cap=20.0, grade=grade)
    one = on_event(model, None, event(1), START)
    owned = replace(
        event(2, 5, name="Lead Assigned", channel="crm"), properties={"owner": "bo"}
    )
    step = on_event(model, one.state, owned, START + 5)

    assert one.updates[0].grade == "A1"
    assert [(u.owner, u.delta) for u in step.updates] == [("bo", 0.0)]
    assert (
        on_event(model, step.state, event(3, 6, name="Else"), START + 6).updates == ()
    )


# ── time ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rule", "wait", "kind", "named"),
    [
        pytest.param(FADING, DAY, "decay", None, id="points fade"),
        pytest.param(
            {"name": "quiet", "silence": {"first": "7d"}, "points": -3.0},
            7 * DAY,
            "inactivity",
            "quiet",
            id="nothing is heard",
        ),
        pytest.param(
            {
                "name": "left",
                "absence": {"after": CLICK, "unless": {"event": "X"}, "within": "30m"},
                "points": -3.0,
            },
            30 * MINUTE,
            "absence",
            "left",
            id="what was expected did not come",
        ),
        pytest.param(
            {**SCORE, "decay": {"expires": "3d"}}, 3 * DAY, "decay", None, id="expiry"
        ),
    ],
)
def test_cause_of_time(
    rule: dict[str, Any], wait: int, kind: str, named: str | None
) -> None:
    """What time does to a score is told with its cause."""
    base = {"name": "base", "when": CLICK, "points": 50.0}
    model = model_of(rule, base)
    state = on_event(model, None, event(1), START).state
    update = on_wakeup(model, state, START + wait).updates[-1]

    assert (update.cause.kind, update.cause.rule) == (kind, named)
    assert update.delta < 0


def test_wakeup_says_the_present_score() -> None:
    """A look between two changes tells the score of that instant."""
    model = model_of(FADING)
    state = on_event(model, None, event(1), START).state
    assert state.wake_at is not None
    step = on_wakeup(model, state, START + DAY)

    assert [u.score for u in step.updates] == [10.0]
    assert step.state.now == START + DAY
    assert step.state.wake_at is not None
    assert step.state.wake_at > START + DAY


def test_wakeup_with_nothing_due() -> None:
    """A look before anything is due answers with the very state it was given."""
    model = model_of(SCORE)
    state = on_event(model, None, event(1), START).state

    assert on_wakeup(model, state, START + 900 * DAY).state is state


def test_read_before_the_last_input() -> None:
    """A lead is read at its last input at the earliest."""
    model = model_of(FADING)
    state = on_event(model, None, event(1), START).state
    reading = read(model, state, START - DAY)

    assert (reading.as_of, reading.score) == (START, 20.0)


# ── alerts ──────────────────────────────────────────────────────────────────────


def test_alert_says_who_what_and_why() -> None:
    """An alert has score, reasons, event, instants and the thresholds it crossed."""
    model = model_of(FADING, tiers=GOLD, alerts=HOT)
    first = on_event(model, None, event(1), START)
    later = on_wakeup(model, first.state, START + DAY)
    hot, cooled = first.alerts[0], later.alerts[0]

    assert (hot.alert, hot.kind, hot.reason) == ("hot", "hot", "crossed-threshold")
    assert (hot.score, hot.previous, hot.threshold) == (20.0, 0.0, 20.0)
    assert (hot.tier, hot.event_id, hot.episode) == ("gold", "1", 1)
    assert hot.occurred_at == hot.decided_at == to_datetime(START)
    assert (cooled.alert, cooled.kind, cooled.reason) == (
        "cooled",
        "cooled",
        "fell-below",
    )
    assert (cooled.score, cooled.previous, cooled.threshold) == (16.9, 17.0, 17.0)
    assert (cooled.episode, cooled.event_id) == (1, None)
    assert cooled.occurred_at < cooled.decided_at == to_datetime(START + DAY)
    assert [(d.alert, d.reason, d.sent) for d in first.decisions] == [
        ("hot", "crossed-threshold", True)
    ]
    assert [(d.alert, d.reason, d.sent) for d in later.decisions] == [
        ("hot", "inside-hysteresis", False),
        ("hot", "fell-below", False),
        ("cooled", "fell-below", True),
    ]


def test_previous_score_of_an_alert_is_that_before_the_event() -> None:
    """An alert says the score just before, not the last one that was published."""
    model = model_of(FADING, alerts=[{"name": "hot", "kind": "hot", "enter": 25.0}])
    one = on_event(model, None, event(1), START).state
    step = on_event(model, one, event(2, DAY), START + DAY)

    assert (step.alerts[0].previous, step.alerts[0].score) == (10.0, 30.0)
    woken = live(model, [event(1), event(2, DAY)], START + DAY, prompt)
    assert [replace(a, decided_at=None) for a in woken.alerts] == [
        replace(a, decided_at=None) for a in step.alerts
    ]


def test_re_rise_by_time_ends_a_cooldown_at_its_instant() -> None:
    """A score that rises as a penalty fades ends the cooldown when it has risen."""
    bad = {"name": "bad", "when": {"event": "Bad"}, "points": -20.0}
    model = model_of(
        {**SCORE, "points": 40.0},
        {**bad, "decay": {"linear": "10h"}},
        alerts=[{"name": "hot", "kind": "hot", "enter": 20.0, "leave": 10.0}],
    )
    life: list[Event] = [
        event(1),
        event("x", 1, name="Bad"),
        event("y", 2, name="Bad"),
        event("z", 3, name="Bad"),
        event(2, 4),
    ]
    absent = live(model, life, START + 20 * HOUR)
    woken = live(model, life, START + 20 * HOUR, prompt)

    assert [a.reason for a in absent.alerts] == ["crossed-threshold", "re-rose"]
    rose = absent.alerts[1]
    # 80 less three times 20 that fade: 48 (a fifth above 40) at 4.67 hours.
    assert (rose.score, rose.previous) == (48.0, 47.9)
    assert to_instant(rose.occurred_at) < START + 5 * HOUR
    assert woken.told == absent.told


def test_two_alerts_with_one_end_each() -> None:
    """An alert that nobody is told the end of ends in silence."""
    model = model_of(FADING, tiers=GOLD, alerts=HOT[:1])
    state = on_event(model, None, event(1), START).state
    step = on_wakeup(model, state, START + DAY)

    assert step.alerts == ()
    assert step.decisions[-1].reason == "fell-below"


# ── withdrawal ──────────────────────────────────────────────────────────────────


def test_withdrawal_is_told_and_recalls() -> None:
    """What was withdrawn goes from the score at once, and its alert is recalled."""
    model = model_of(FADING, tiers=GOLD, alerts=HOT)
    state = on_event(model, None, event(1), START).state
    step = on_retract(model, state, ["1"], START + HOUR)

    assert [(u.score, u.cause.kind) for u in step.updates] == [
        (19.9, "decay"),
        (0.0, "retraction"),
    ]
    recall = step.alerts[0]
    assert (recall.alert, recall.reason, recall.previous) == ("hot", "recalled", 19.4)
    assert recall.recalls is not None
    assert recall.id != recall.recalls
    assert on_event(model, step.state, event(1), START + DAY).outcome == "duplicate"


def test_withdrawal_before_the_event_comes() -> None:
    """An event that is withdrawn before it arrives never counts."""
    model = model_of(SCORE)
    state = on_event(model, None, event(1), START).state
    state = on_retract(model, state, ["2"], START + 1).state

    assert on_event(model, state, event(2, 5), START + 5).outcome == "duplicate"


def test_withdrawal_falls_back_to_the_former_fact() -> None:
    """When the latest fact of a trait is withdrawn, the one before it holds."""
    per_ten = {"of": "traits.employees", "per": 10.0, "points": 5.0, "max": 10.0}
    model = model_of({"name": "size", "points": per_ten})

    def identify(number: int, employees: int) -> Event:
        fact = {"employees": employees}
        return replace(event(number, number, name=""), type="identify", traits=fact)

    state: LeadState | None = None
    for item in (identify(2, 10), identify(1, 4), identify(3, 20), identify(4, 6)):
        state = on_event(model, state, item, item.now).state
    assert state is not None
    scores = []
    for number in ("4", "3", "2", "1"):
        scores.append(read(model, state, START + 10).score)
        state = on_retract(model, state, [number], START + 10).state

    assert scores == [3.0, 10.0, 5.0, 0.0]
    assert state.traits == {}
    assert state.first_at == 0


def test_withdrawal_of_all_signs_of_life_on_a_channel() -> None:
    """A channel's silence is counted from the last sign that was not withdrawn."""
    rule = {"name": "quiet", "silence": {"first": "7d"}, "points": -3.0}
    model = model_of({**SCORE, "points": 50.0}, rule)
    state: LeadState | None = None
    for number in range(10):
        item = event(number, number * DAY)
        state = on_event(model, state, item, item.now).state
    assert state is not None
    late = [str(number) for number in range(3, 10)]
    state = on_retract(model, state, late, START + 9 * DAY).state

    # The last sign that stands is of day two.
    assert read(model, state, START + 9 * DAY).groups == {"web": 97.0}
    assert state.active["web"][-1][0] == START + 2 * DAY


# ── models ──────────────────────────────────────────────────────────────────────


def test_model_change_is_told_with_its_cause() -> None:
    """A new model's score is told once, at its instant, after the old one settled."""
    old = model_of(FADING, tiers=GOLD)
    new = model_of({**FADING, "points": 60.0}, tiers=GOLD, version="2")
    state = on_event(old, None, event(1), START).state
    step = on_model_change(old, new, state, START + DAY)

    assert [(u.score, u.tier, u.cause.kind, u.model.version) for u in step.updates] == [
        (19.9, "bronze", "decay", "1"),
        (30.0, "gold", "model", "2"),
    ]
    assert step.state.model == new.digest


def test_unannounced_model_holds_from_the_next_input() -> None:
    """A model that a state does not know holds from the next input."""
    old = model_of(FADING, tiers=GOLD)
    new = model_of({**FADING, "points": 60.0}, tiers=GOLD, version="2")
    state = on_event(old, None, event(1), START).state
    step = on_event(new, state, event(2, DAY), START + DAY)

    assert [(u.score, u.cause.kind) for u in step.updates] == [
        (30.0, "model"),
        (90.0, "event"),
    ]
    assert {u.as_of for u in step.updates} == {to_datetime(START + DAY)}


def test_rule_that_went_is_kept_for_its_return() -> None:
    """Rolling back a model finds what its rules remembered."""
    old = model_of(FADING)
    new = model_of({**SCORE, "name": "other"}, version="2")
    state = on_event(old, None, event(1), START).state
    away = on_model_change(old, new, state, START + HOUR).state
    back = on_model_change(new, old, away, START + DAY).state

    assert (away.score, back.score) == (0.0, 10.0)


def test_backfill_skips_what_was_withdrawn() -> None:
    """A new rule does not learn of an event that was withdrawn, or of a machine's."""
    model = model_of(SCORE)
    state = on_event(model, None, event(1), START).state
    state = on_event(model, state, event(2, 1, machine=True), START + 1).state
    state = on_retract(model, state, ["1"], START + 2).state
    rules = frozenset({"click"})
    for old in (event(1), event(2, 1, machine=True), event(9, machine=True)):
        assert on_backfill(model, state, old, rules, START + 3).outcome == "duplicate"
    unseen = event(3)
    assert on_backfill(model, state, unseen, rules, START + 3).state.score == 20.0


# ── other alerts ────────────────────────────────────────────────────────────────

SURGE = {"name": "surge", "kind": "surge", "rise": 15.0, "within": "1h"}
TEN = {"name": "click", "when": CLICK, "points": 10.0}


def test_surge_is_the_points_gained_within_its_window() -> None:
    """A surge is told when events gave so many points within the time."""
    model = model_of(TEN, alerts=[SURGE])
    slow = live(model, [event(1), event(2, HOUR)], START + DAY)
    fast = live(model, [event(1), event(2, HOUR - 1)], START + DAY)

    assert slow.facts == []
    assert fast.facts == [(START + HOUR - 1, "surge", 1, "surged")]
    assert (fast.alerts[0].threshold, fast.alerts[0].previous) == (15.0, 10.0)


def test_surge_is_over_when_half_of_it_is_past() -> None:
    """A surge ends when what was gained within the time falls below half of it."""
    model = model_of(TEN, alerts=[{**SURGE, "cooldown": "0s"}])
    life = [
        event(1),
        event(2, 1),
        event(3, HOUR - 1),
        event(4, HOUR),
        event(5, 3 * HOUR),
    ]
    story = live(model, [*life, event(6, 3 * HOUR + 5)], START + DAY)

    # The first two are past after an hour, the next two keep it; then it is over.
    assert [at - START for at, *_ in story.facts] == [1, 3 * HOUR + 5]
    assert (
        story.told
        == live(model, [*life, event(6, 3 * HOUR + 5)], START + DAY, prompt).told
    )


def test_withdrawn_points_are_no_surge() -> None:
    """A surge that stood on withdrawn events is recalled."""
    model = model_of(TEN, alerts=[SURGE])
    state = live(model, [event(1), event(2, 5)], START + 10).state
    step = on_retract(model, state, ["1", "2"], START + 20)

    assert [(a.alert, a.reason) for a in step.alerts] == [("surge", "recalled")]


def staged(number: int, stage: str) -> Event:
    """Return a change of stage, so many milliseconds after the start."""
    changed = event(number, number, name="Stage Changed", channel="crm")
    return replace(changed, properties={"stage": stage})


def test_stage_is_told_when_it_is_entered() -> None:
    """An alert on a stage is told once when the lead enters it."""
    policy = {
        "name": "decision",
        "kind": "stage",
        "stages": ["Decision"],
        "cooldown": "0s",
    }
    stages = ["awareness", "decision", "decision", "awareness", "DECISION"]
    life = [staged(number, stage) for number, stage in enumerate(stages)]
    story = live(model_of(alerts=[policy]), life, START + DAY)

    assert story.facts == [
        (START + 1, "decision", 1, "stage-entered"),
        (START + 4, "decision", 2, "stage-entered"),
    ]


def test_louder_alert_mutes_the_quieter() -> None:
    """While gold lasts nobody is told of silver, whichever is written first."""
    silver = {"name": "silver", "kind": "hot", "enter": 10.0}
    gold = {"name": "gold", "kind": "hot", "enter": 20.0, "inhibits": ["silver"]}
    twenty = {**TEN, "points": 20.0}
    one = on_event(model_of(twenty, alerts=[silver, gold]), None, event(1), START)
    two = live(model_of(TEN, alerts=[silver, gold]), [event(1), event(2, 5)], START + 9)

    assert [alert.alert for alert in one.alerts] == ["gold"]
    assert [(d.alert, d.reason, d.sent) for d in one.decisions] == [
        ("gold", "crossed-threshold", True),
        ("silver", "inhibited", False),
    ]
    assert [alert.alert for alert in two.alerts] == ["silver", "gold"]


def test_unworked_alert_is_told_when_its_time_is_over() -> None:
    """A hot lead that nobody deals with is told again; work on it prevents that."""
    hot = {"name": "hot", "kind": "hot", "enter": 10.0}
    late = {"name": "late", "kind": "unworked", "of": "hot", "after": "15m"}
    model = model_of(TEN, alerts=[hot, late])
    call = event(2, MINUTE, name="Call Logged", channel="crm")
    alone = live(model, [event(1)], START + DAY)
    worked = live(model, [event(1), call], START + DAY)

    assert alone.facts == [
        (START, "hot", 1, "crossed-threshold"),
        (START + 15 * MINUTE, "late", 1, "unacknowledged"),
    ]
    assert worked.facts == alone.facts[:1]


def test_withdrawal_of_something_else_leaves_what_is_known() -> None:
    """Traits, signs of life and the first sight stay when others are withdrawn."""
    per_ten = {"of": "traits.employees", "per": 10.0, "points": 5.0, "max": 10.0}
    model = model_of({"name": "size", "points": per_ten})
    life = [event(0, 0, name="Email Delivered", channel="email")]
    for number in range(1, 4):
        stated = event(number, number, name="")
        life.append(replace(stated, type="identify", traits={"employees": number * 5}))
    state = live(model, [*life, event(9, 9)], START + 10).state
    left = on_retract(model, state, ["9"], START + 10).state

    assert left.traits == state.traits
    assert left.former == state.former
    assert left.first_at == START
    assert read(model, left, START + 10).score == 7.5
    assert {channel: len(signs) for channel, signs in left.active.items()} == {"web": 3}
