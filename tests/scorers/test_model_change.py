"""A new version of the model applies to what is remembered, at once."""

from datetime import UTC, datetime

import pytest

from schemas.event import Event
from schemas.time import DAY, to_datetime, to_instant
from scorers.compiled import CompiledModel, compile_model
from scorers.loading import load_model
from scorers.scorer import on_backfill, on_event, on_model_change, on_wakeup, read
from scorers.state import LeadState

T0 = to_instant(datetime(2026, 1, 1, tzinfo=UTC))

OLD = """
model: shop
version: "1"
groups:
  web:
    cap: 40
    decay: {half_life: 10d}
    rules:
      - {name: pricing, points: 8, when: {type: page, properties.path: /pricing}}
tiers: [{name: gold, at: 16}]
alerts:
  - {name: hot-lead, kind: hot, enter: gold, leave: 12, cooldown: 1h}
  - {name: cooled, kind: cooled, of: hot-lead}
"""
DEARER = OLD.replace('"1"', '"2"').replace("points: 8", "points: 20")
WIDER = OLD.replace('"1"', '"3"').replace(
    "tiers:",
    """\
      - {name: product, points: 6, when: {type: page, properties.path: /product}}
      - {name: unread, points: -2,
         absence: {after: {event: Clicked}, unless: {event: Read}, within: 1d}}
tiers:""",
)


def model_of(text: str) -> CompiledModel:
    """Return a text compiled."""
    return compile_model(load_model(text, "shop.yaml"))


def view(number: int, day: float, path: str) -> Event:
    """Return a page view, `day` days after the start."""
    return Event(
        id=f"v{number}",
        type="page",
        channel="web",
        user_id="ada",
        properties={"path": path},
        occurred_at=to_datetime(T0 + round(day * DAY)),
    )


def lead(model: CompiledModel, *events: Event) -> LeadState:
    """Return the state after `events`."""
    state = None
    for event in events:
        state = on_event(model, state, event, event.now).state
    assert state is not None
    return state


def test_new_points_apply_to_old_matches_at_once() -> None:
    """The score after the change is what the new model would always have given."""
    old, new = model_of(OLD), model_of(DEARER)
    events = [view(1, 0, "/pricing"), view(2, 3, "/pricing")]
    at = T0 + 4 * DAY

    step = on_model_change(old, new, lead(old, *events), at)

    assert step.updates[-1].score == read(new, lead(new, *events), at).score
    assert step.updates[-1].cause.kind == "model"
    assert step.updates[-1].model == new.ref


def test_what_was_planned_before_is_settled_by_the_old_model() -> None:
    """A lead that cooled before the change cooled by the rules of then."""
    old, new = model_of(OLD), model_of(DEARER)
    state = lead(old, view(1, 0, "/pricing"), view(2, 0, "/pricing"))
    assert state.alerts["hot-lead"].phase == "in"

    step = on_model_change(old, new, state, T0 + 20 * DAY)

    assert [alert.kind for alert in step.alerts] == ["cooled"]
    assert step.alerts[0].model == old.ref


def test_rolling_back_is_publishing_the_old_one() -> None:
    """There and back again, the score is what it was."""
    old, new = model_of(OLD), model_of(DEARER)
    at = T0 + 2 * DAY
    state = lead(old, view(1, 0, "/pricing"))

    there = on_model_change(old, new, state, at).state
    back = on_model_change(new, old, there, at).state

    assert read(old, back, at).exact == read(old, state, at).exact


def test_a_new_rule_is_backfilled_once() -> None:
    """An old event counts for the new rule, however often it is offered."""
    old, new = model_of(OLD), model_of(WIDER)
    seen = [view(1, 0, "/product"), view(2, 1, "/pricing")]
    at = T0 + 2 * DAY
    state = on_model_change(old, new, lead(old, *seen), at).state
    rules = frozenset({"product"})

    first = on_backfill(new, state, seen[0], rules, at)
    again = on_backfill(new, first.state, seen[0], rules, at)

    assert first.outcome == "scored"
    assert first.state.score == read(new, lead(new, *seen), at).score
    assert first.updates[-1].cause.kind == "model"
    assert again.outcome == "duplicate"
    assert again.state == first.state


def test_backfill_leaves_rules_that_know_the_event_alone() -> None:
    """Only the rules that are asked for learn; machines teach nothing."""
    new = model_of(WIDER)
    known = view(1, 0, "/pricing")
    state = lead(new, known)
    machine = Event(
        id="m",
        type="page",
        channel="web",
        user_id="ada",
        properties={"path": "/product", "machine": True},
        occurred_at=known.occurred_at,
    )

    assert on_backfill(new, state, known, frozenset({"product"}), T0).state is state
    assert on_backfill(new, state, machine, frozenset({"product"}), T0).state is state


@pytest.mark.parametrize(("read_it", "expected"), [(False, 6.0), (True, 8.0)])
def test_an_absence_rule_is_backfilled_with_both_its_halves(
    *, read_it: bool, expected: float
) -> None:
    """What was waited for counts in the past as it would have then."""
    old, new = (
        model_of(OLD),
        model_of(WIDER.replace("half_life: 10d", "half_life: 5000w")),
    )
    names = ["Clicked", "Read"] if read_it else ["Clicked"]
    past = [
        Event(
            id=name,
            type="track",
            name=name,
            channel="web",
            user_id="ada",
            occurred_at=to_datetime(T0),
        )
        for name in names
    ]
    at = T0 + 2 * DAY
    state = lead(old, view(1, 0, "/pricing"), *past)
    state = on_model_change(old, new, state, at).state

    for event in past:
        state = on_backfill(new, state, event, frozenset({"unread"}), at).state

    assert state.score == expected
    assert state.wake_at is not None
    assert on_wakeup(new, state, at).state.score == expected
