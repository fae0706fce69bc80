"""Capacity: a threshold that keeps the number of hot leads at what people can do."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.time import DAY, HOUR, to_instant
from scorers.capacity import CompiledCapacity, Scores, decide
from scorers.compiled import CompiledModel, compile_model
from scorers.explanation import explain_lead
from scorers.model import Model
from scorers.policy import Capacity, Shift
from scorers.quiet import OnShift
from scorers.scorer import on_event, on_model_change, on_wakeup, read
from scorers.sentences import sections
from scorers.versions import InForce, Versions
from tests.scorers.living import event, live, take
from tests.scorers.small_models import CLICK, model_of
from tests.strategies import START, Choice, Input, end_of, lives, models

MONDAY = to_instant(datetime(2026, 1, 5, tzinfo=UTC))


def capacity_of(**given_: Any) -> CompiledCapacity:
    """Return a capacity of ten leads for an alert that begins at 60."""
    capacity = Capacity.model_validate({"leads": 10, **given_})
    return CompiledCapacity(capacity, 60.0, 100.0)


def scores_of(*scores: float) -> Scores:
    """Return these scores, counted."""
    counted = Scores(10)
    for score in scores:
        counted.move(None, score)
    return counted


# ── the quantile ────────────────────────────────────────────────────────────────

_scores = st.integers(0, 1000).map(lambda level: level / 10)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.none() | _scores), max_size=60),
    st.integers(0, 12),
    _scores,
)
def test_the_quantile_is_exact(
    changes: list[tuple[int, float | None]], most: int, bound: float
) -> None:
    """However scores change, the counts are those of a sorted list."""
    known: dict[int, float] = {}
    counted = Scores(10)
    for lead, score in changes:
        counted.move(known.get(lead), score)
        if score is None:
            known.pop(lead, None)
        else:
            known[lead] = score
    reached = counted.reached_by(most)

    assert len(counted) == len(known)
    assert counted.at_least(bound) == sum(s >= bound for s in known.values())
    assert sum(s >= reached for s in known.values()) <= most
    if reached > 0:
        just_below = round(reached - 0.1, 1)
        assert sum(s >= just_below for s in known.values()) > most


@given(st.lists(_scores), st.lists(_scores))
def test_two_counts_add_up(one: list[float], other: list[float]) -> None:
    """What two counted apart is what one would have counted."""
    together = scores_of(*one)
    together.add(scores_of(*other))

    assert list(together.counted()) == list(scores_of(*one, *other).counted())
    assert len(together) == len(one) + len(other)


# ── the decision ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("scores", "present", "threshold", "reason"),
    [
        # As many as people can deal with is not too many.
        ([70.0] * 10, 60.0, 60.0, "inside-hysteresis"),
        ([50.0, *[70.0] * 10], 50.1, 50.1, "within-capacity"),
        # One more, and it rises to where ten are left.
        ([61.0, *[70.0] * 10], 60.0, 61.1, "over-capacity"),
        # Of leads with the same score all are let in, or none.
        ([70.0] * 11, 60.0, 70.1, "over-capacity"),
        # It never rises above its highest.
        ([95.0] * 11, 60.0, 90.0, "over-capacity"),
        ([95.0] * 11, 90.0, 90.0, "at-highest"),
        # Where nine of ten are left, too little time is free to make it easier.
        ([61.0, *[80.0] * 9], 70.0, 70.0, "inside-hysteresis"),
        # Where eight are left, and would be below, it falls to there.
        ([61.0, *[80.0] * 8], 81.0, 61.1, "room"),
        # And never below its lowest.
        ([], 70.0, 50.0, "room"),
        ([], 50.0, 50.0, "within-capacity"),
    ],
)
def test_where_it_belongs(
    scores: list[float], present: float, threshold: float, reason: str
) -> None:
    """The threshold follows the leads, within its bounds and not for trifles."""
    capacity = capacity_of(lowest=50.0, highest=90.0)
    move = decide(capacity, scores_of(*scores), present, None, MONDAY)

    assert (move.threshold, move.reason) == (threshold, reason)
    assert move.moves == (threshold != present)
    assert move.above == sum(score >= present for score in scores)


def test_it_moves_once_in_a_while() -> None:
    """Within `every` it stays, whatever happens; then it moves."""
    capacity, flood = capacity_of(every="1h"), scores_of(*[70.0] * 11)
    early = decide(capacity, flood, 60.0, MONDAY, MONDAY + HOUR - 1)
    due = decide(capacity, flood, 60.0, MONDAY, MONDAY + HOUR)

    assert (early.reason, early.threshold) == ("too-soon", 60.0)
    assert due.threshold == 70.1


@given(
    st.lists(_scores, max_size=60),
    _scores.filter(bool),
    st.integers(1, 12),
    st.floats(0, 0.9),
)
def test_it_never_flaps(
    scores: list[float], present: float, leads: int, hysteresis: float
) -> None:
    """Where it has moved to, it stays as long as the scores do."""
    capacity = capacity_of(leads=leads, hysteresis=hysteresis, lowest=1.0, highest=99.0)
    counted = scores_of(*scores)
    moved = decide(capacity, counted, present, None, MONDAY)
    again = decide(capacity, counted, moved.threshold, None, MONDAY)

    assert not again.moves
    if moved.moves and moved.threshold < 99.0:
        assert counted.at_least(moved.threshold) <= leads


@pytest.mark.parametrize(
    ("at", "leads"),
    [
        (9 * HOUR - 1, 10),
        (9 * HOUR, 40),
        (17 * HOUR - 1, 40),
        (17 * HOUR, 10),
        (22 * HOUR, 0),
        (DAY + 5 * HOUR, 0),
        (DAY + 6 * HOUR, 10),
        # On Saturday nobody works by day; Friday's night ends that morning.
        (5 * DAY + 5 * HOUR, 0),
        (5 * DAY + 12 * HOUR, 10),
        (5 * DAY + 23 * HOUR, 10),
        (6 * DAY + 5 * HOUR, 10),
    ],
)
def test_shifts(at: int, leads: int) -> None:
    """Each shift has its hours, its days and its number; else the usual one holds."""
    work = ["mon", "tue", "wed", "thu", "fri"]
    capacity = capacity_of(
        shifts=[
            {"from": "09:00", "to": "17:00", "days": work, "leads": 40},
            {"from": "22:00", "to": "06:00", "days": work, "leads": 0},
        ]
    )

    assert capacity.leads_at(MONDAY + at) == leads


def test_a_shift_is_where_its_people_are() -> None:
    """The hours are those of the zone, not of the machine."""
    tehran = Shift.model_validate(
        {"from": "08:00", "to": "16:00", "zone": "Asia/Tehran", "leads": 5}
    )

    assert OnShift(tehran).holds(MONDAY + 4 * HOUR + HOUR // 2)
    assert not OnShift(tehran).holds(MONDAY + 4 * HOUR)


# ── the variant ─────────────────────────────────────────────────────────────────

RULE = {"name": "click", "when": CLICK, "points": 20.0, "title": "Clicked"}
HOT = [
    {"name": "hot", "kind": "hot", "enter": 40.0, "leave": 30.0,
     "capacity": {"leads": 5}},
    {"name": "cooled", "kind": "cooled", "of": "hot"},
]  # fmt: skip


def variant(to: float) -> tuple[CompiledModel, CompiledModel]:
    """Return a model and the same with another threshold."""
    base = model_of(RULE, alerts=HOT)
    return base, base.with_thresholds({"hot": to})


def test_a_variant_is_another_model_of_the_same_text() -> None:
    """It has a digest of its own; its reference has the text's, and the thresholds."""
    base, other = variant(60.0)

    assert other.digest != base.digest
    assert other.ref.digest == base.ref.digest == base.digest
    assert other.ref.thresholds == {"hot": 60.0}
    assert base.ref.thresholds == {}
    assert (other.alerts[0].enter, other.alerts[0].leave) == (60.0, 45.0)
    assert (base.alerts[0].enter, base.alerts[0].leave) == (40.0, 30.0)
    assert [alert.name for alert, _ in base.limited] == ["hot"]


def test_a_variant_of_a_variant_is_one_of_the_text() -> None:
    """Thresholds are those that are said, not those on top of others."""
    base, other = variant(60.0)

    assert other.with_thresholds({}) is base
    assert other.with_thresholds({"hot": 40.0}) is base
    assert other.with_thresholds({"hot": 80.0}).digest == variant(80.0)[1].digest
    assert variant(80.0)[1].alerts[0].leave == 60.0


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"cooled": 50.0}, "no hot alert 'cooled'"),
        ({"hto": 50.0}, "no hot alert 'hto'"),
        ({"hot": 0.0}, "cannot begin at 0"),
        ({"hot": 101.0}, "cannot begin at 101"),
    ],
)
def test_thresholds_of_nobody(thresholds: dict[str, float], message: str) -> None:
    """A threshold is of a hot alert, and a score."""
    with pytest.raises(ValueError, match=message):
        variant(60.0)[0].with_thresholds(thresholds)


def test_alerts_say_where_they_begin() -> None:
    """Who is told at another score than the model's hears where it is, and why."""
    _, other = variant(60.0)
    state = None
    for number in range(3):
        step = on_event(other, state, event(number, number), START + number)
        state = step.state
    (alert,) = step.alerts

    assert (alert.threshold, alert.model.thresholds) == (60.0, {"hot": 60.0})
    assert alert.note == (
        "hot begins at 60 points now, not at 40: more leads are hot than can be "
        "dealt with."
    )
    assert step.updates[-1].model.thresholds == {"hot": 60.0}


def test_alerts_say_nothing_where_the_model_does() -> None:
    """Where the threshold is the model's own there is nothing to add."""
    base, _ = variant(60.0)
    state = on_event(base, None, event(1), START).state

    (alert,) = on_event(base, state, event(2, 1), START + 1).alerts
    assert alert.note == ""


@pytest.mark.parametrize(
    ("locale", "to", "words"),
    [
        ("en", 60.0, "hot begins at 60 points now, not at 40: more leads"),
        ("en", 30.0, "hot begins at 30 points now, not at 40: there is time"),
        ("fa", 60.0, "اکنون از ۶۰ امتیاز آغاز می‌شود، نه از ۴۰: سرنخ‌های داغ"),
        ("fa", 30.0, "اکنون از ۳۰ امتیاز آغاز می‌شود، نه از ۴۰: برای"),
    ],
)
def test_explanations_say_where_alerts_begin(
    locale: Any, to: float, words: str
) -> None:
    """An explanation has a section on thresholds that are not the model's."""
    base, other = variant(to)
    state = on_event(other, None, event(1), START).state
    told = {
        section.name: section.lines
        for model in (base, other)
        for section in sections(model, explain_lead(model, state, START), locale)
        if model is other or section.name != "thresholds"
    }
    of_base = sections(base, explain_lead(base, state, START), locale)

    assert words in told["thresholds"][0]
    assert "thresholds" not in [section.name for section in of_base]


def test_adopting_a_variant_tells_only_what_follows() -> None:
    """The score is no other; who is hot by the new threshold is told, once."""
    base, other = variant(20.0)
    state = on_event(base, None, event(1), START).state
    step = on_model_change(base, other, state, START + HOUR)

    assert step.updates == ()
    assert [alert.alert for alert in step.alerts] == ["hot"]
    assert on_wakeup(other, step.state, START + DAY).alerts == ()


def test_a_rising_threshold_ends_what_is_far_below() -> None:
    """Who is below the new leave cools; who is in between stays hot."""
    base, high = variant(80.0)
    _, little = variant(50.0)
    state = None
    for number in range(2):
        state = on_event(base, state, event(number, number), START + number).state
    assert state is not None

    ended = on_model_change(base, high, state, START + HOUR)
    kept = on_model_change(base, little, state, START + HOUR)

    assert [alert.alert for alert in ended.alerts] == ["cooled"]
    assert kept.alerts == ()


def versions_of(*moves: tuple[int, CompiledModel]) -> Versions:
    """Return models that come into force so many hours after the start."""
    first, *later = moves
    found = Versions(InForce(first[0], lambda: first[1]))
    for hour, model in later:
        found.add(InForce(START + hour * HOUR, lambda model=model: model, name="x"))
    return found


def test_who_need_not_hear_of_a_move() -> None:
    """Below every leave since, a move is no news; another text is for all."""
    base, high = variant(80.0)
    low = base.with_thresholds({"hot": 20.0})
    text = model_of({**RULE, "points": 30.0}, alerts=HOT)

    assert versions_of((0, base), (1, high)).unmoved_below(base.digest) == 30.0
    assert versions_of((0, base), (1, high), (2, low)).unmoved_below(high.digest) == 15
    assert versions_of((0, low), (1, high), (2, base)).unmoved_below(high.digest) == 30
    assert versions_of((0, low), (1, high), (2, base)).unmoved_below(low.digest) == 15
    assert versions_of((0, base), (1, text)).unmoved_below(base.digest) == 0
    assert versions_of((0, base), (1, text), (2, high)).unmoved_below(base.digest) == 0
    assert versions_of((0, base), (1, high)).unmoved_below("nobody knows") == 0


def test_when_it_moved_last() -> None:
    """A move is a threshold that is another in the same text."""
    base, high = variant(80.0)
    text = model_of({**RULE, "points": 30.0}, alerts=HOT)
    story = versions_of((0, base), (1, high), (2, high), (3, base), (4, text))
    hours = [story.moved_at("hot", START + hour * HOUR) for hour in range(6)]
    moved = [None if at is None else (at - START) // HOUR for at in hours]

    assert moved == [None, 1, 1, 3, None, None]
    assert story.moved_at("other", START + 3 * HOUR) is None


def test_a_version_is_known_once() -> None:
    """The same instant and name are the same version, wherever it stands."""
    base, high = variant(80.0)
    story = versions_of((0, base), (1, high), (2, base), (3, high))

    for hour in (1, 2, 3):
        assert not story.add(InForce(START + hour * HOUR, lambda: base, name="x"))
    assert story.add(InForce(START + 2 * HOUR, lambda: base, name="y"))
    assert [each.at for each in story] == sorted(each.at for each in story)


# ── laws ────────────────────────────────────────────────────────────────────────


@given(models(), lives(retractions=True), st.floats(0.5, 2), st.data())
def test_a_variant_is_the_model_that_says_so(
    choice: Choice, life: list[Input], factor: float, data: st.DataObject
) -> None:
    """Other thresholds do what they would do if they stood in the text."""
    base, text = choice.compiled, choice.text()
    hot = [alert for alert in base.alerts if alert.kind == "hot"]
    moved = {
        alert.name: round(min(100.0, alert.enter * factor), 1)
        for alert in data.draw(
            st.lists(st.sampled_from(hot), min_size=1, unique_by=id), label="moved"
        )
    }
    other = base.with_thresholds(moved)
    for alert in text["alerts"]:
        if alert["name"] in moved:
            known = next(a for a in other.alerts if a.name == alert["name"])
            alert["enter"], alert["leave"] = known.enter, known.leave
    written = Model.model_validate(text)
    end = end_of(life) + 45 * DAY
    story, wanted = live(other, life, end), live(compile_model(written), life, end)

    assert (story.facts, story.tiers) == (wanted.facts, wanted.tiers)
    assert read(other, story.state, end).exact == read(base, story.state, end).exact


@given(
    models(every_alert=True),
    lives(retractions=True),
    st.lists(
        st.tuples(st.integers(0, 60 * DAY), st.sampled_from([4.0, 9.0, 16.0, 30.0])),
        min_size=1,
        max_size=4,
        unique_by=lambda item: item[0],
    ),
)
def test_looks_are_hints_while_thresholds_move(
    choice: Choice, life: list[Input], moves: list[tuple[int, float]]
) -> None:
    """Looked at in time or never, a lead lives through the same thresholds."""
    base = choice.compiled
    versions = Versions(InForce(0, lambda: base))
    for at, enter in moves:
        other = base.with_thresholds({"hot-0": enter})
        versions.add(InForce(START + at, lambda other=other: other, name=str(at)))
    end = end_of(life) + 45 * DAY

    def lived(*, looking: bool) -> tuple[object, object, object]:
        state, steps = None, []
        for item in [*life, None]:
            until = end if item is None else item.now
            while looking and state is not None:
                at = versions.wake_at(state)
                if at is None or at >= until:
                    break
                now = max(at, state.now)
                steps.append(
                    versions.apply(
                        state, now, lambda m, s, now=now: on_wakeup(m, s, now)
                    )
                )
                state = steps[-1].state
            act = (
                (lambda m, s: on_wakeup(m, s, end))
                if item is None
                else (lambda m, s, item=item: take(m, s, item))
            )
            steps.append(versions.apply(state, until, act))
            state = steps[-1].state
        alerts = [
            (alert.id, alert.reason, alert.occurred_at, alert.threshold)
            for step in steps
            for alert in step.alerts
        ]
        assert state is not None
        return alerts, state.alerts, read(base, state, end).exact

    assert lived(looking=True) == lived(looking=False)
