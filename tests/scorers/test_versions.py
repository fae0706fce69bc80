"""Models that change while leads live: what is in force is a matter of instants."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import Event
from schemas.time import DAY, Instant, to_instant
from scorers.backfill import new_questions, reworded
from scorers.compiled import CompiledModel
from scorers.replay import Replay
from scorers.scorer import on_event, on_wakeup, read
from scorers.state import LeadState
from scorers.step import Step
from scorers.versions import InForce, Versions, started
from tests.scorers.test_model_change import DEARER, OLD, T0, WIDER, model_of, view
from tests.strategies import START, end_of, lives, models

compiled = models().map(lambda choice: choice.compiled)
events_only = lives(repeats=False)
instants = st.integers(0, 40 * DAY).map(lambda offset: START + offset)


def versions_of(
    first: CompiledModel, *later: tuple[Instant, CompiledModel]
) -> Versions:
    """Return versions of which each is in force from its instant on."""
    versions = Versions.only(first)
    for number, (at, model) in enumerate(later):
        versions.add(InForce(at, lambda model=model: model, name=str(number)))
    return versions


def scored(versions: Versions, state: LeadState | None, event: Event) -> Step:
    """Return what an event leads to."""
    now = event.now
    return versions.apply(state, now, lambda m, s: on_event(m, s, event, now))


def looked(versions: Versions, state: LeadState, now: Instant) -> Step:
    """Return what a wake-up leads to."""
    return versions.apply(state, now, lambda m, s: on_wakeup(m, s, now))


def lived(
    versions: Versions, life: list[Event], looks: list[Instant], end: Instant
) -> tuple[LeadState, list[Any]]:
    """Return the last state and the alerts of a lead that is looked at now and then."""
    state: LeadState | None = None
    alerts: list[Any] = []
    left = sorted(looks)
    for event in sorted(life, key=lambda event: event.now):
        while state is not None and left and left[0] < event.now:
            step = looked(versions, state, left.pop(0))
            state = step.state
            alerts += step.alerts
        step = scored(versions, state, event)
        state = step.state
        alerts += step.alerts
    assert state is not None
    step = looked(versions, state, end)
    alerts += step.alerts
    return step.state, [(a.id, a.reason, a.occurred_at, a.model) for a in alerts]


@given(
    st.tuples(compiled, compiled, compiled),
    st.lists(instants, min_size=1, max_size=4),
    events_only,
    st.lists(instants, max_size=8),
)
def test_it_does_not_matter_who_looked_when(
    choice: tuple[CompiledModel, ...],
    changes: list[Instant],
    life: list[Event],
    looks: list[Instant],
) -> None:
    """Looked at in between or never: the same score, the same alerts, by the same."""
    end = max(end_of(life), *changes) + DAY
    later = [(at, choice[(n + 1) % 3]) for n, at in enumerate(sorted(changes))]
    versions = versions_of(choice[0], *later)

    idle, untold = lived(versions, life, [], end)
    awake, told = lived(versions, life, looks, end)

    model = versions.at(end).model
    assert idle.model == awake.model == model.digest
    assert read(model, idle, end).exact == read(model, awake, end).exact
    assert untold == told


def test_a_version_applies_from_its_instant_on() -> None:
    """Before it the old points, after it the new; every update says which model."""
    old, new = model_of(OLD), model_of(DEARER)
    versions = versions_of(old, (T0 + DAY, new))

    first = scored(versions, None, view(1, 0, "/pricing"))
    assert first.updates[-1].model == old.ref
    waiting = looked(versions, first.state, T0 + DAY - 1).state
    assert versions.wake_at(waiting) == T0 + DAY

    second = scored(versions, first.state, view(2, 2, "/pricing"))
    assert [update.model for update in second.updates] == [new.ref, new.ref]
    assert [update.cause.kind for update in second.updates] == ["model", "event"]
    assert to_instant(second.updates[0].as_of) == T0 + DAY


def test_there_and_back_unseen() -> None:
    """A version that came and went while nobody looked has had its say."""
    old, new = model_of(OLD), model_of(DEARER)
    versions = versions_of(old, (T0 + DAY, new), (T0 + 2 * DAY, old))
    state = scored(versions, None, view(1, 0, "/pricing")).state

    step = looked(versions, state, T0 + 3 * DAY)

    assert [alert.alert for alert in step.alerts] == ["hot-lead", "cooled"]
    assert [alert.model for alert in step.alerts] == [new.ref, old.ref]


def test_a_version_that_is_heard_of_late_applies_at_once() -> None:
    """A lead that is past its instant already takes it on where it stands."""
    old, new = model_of(OLD), model_of(DEARER)
    versions = versions_of(old)
    state = scored(versions, None, view(1, 5, "/pricing")).state
    versions.add(InForce(T0 + DAY, lambda: new, name="late"))

    assert versions.wake_at(state) == T0 + 5 * DAY
    step = looked(versions, state, T0 + 5 * DAY)
    assert step.state.model == new.digest
    assert step.state.score == 20.0
    assert versions.wake_at(step.state) == step.state.wake_at


def test_a_repetition_changes_nothing_under_a_new_model_either() -> None:
    """A duplicate is a duplicate, whatever came into force since."""
    old, new = model_of(OLD), model_of(DEARER)
    versions = versions_of(old, (T0 + DAY, new))
    event = view(1, 2, "/pricing")
    state = scored(versions_of(old), None, event).state

    step = scored(versions, state, event)

    assert (step.outcome, step.state, step.updates) == ("duplicate", state, ())


def test_of_one_instant_the_later_name_holds() -> None:
    """Two publications for the same instant end the same on every partition."""
    old, new = model_of(OLD), model_of(DEARER)
    one, other = Versions.only(old), Versions.only(old)
    entries = [InForce(T0, lambda: new, name="b"), InForce(T0, lambda: old, name="a")]
    for entry in entries:
        assert one.add(entry)
    for entry in reversed(entries):
        assert other.add(entry)

    assert one.at(T0).model is other.at(T0).model is new
    assert not one.add(entries[0]), "the same once more is no news"


def test_a_side_model_begins_with_what_is_remembered() -> None:
    """It scores what the lead did before, under numbers of its own."""
    old, new = model_of(OLD), model_of(DEARER)
    state = scored(versions_of(old), None, view(1, 0, "/pricing")).state
    side = versions_of(new)

    step = started(side, state)

    assert [update.sequence for update in step.updates] == [1]
    assert step.updates[0].score == 20.0
    assert step.updates[0].model == new.ref


@pytest.mark.parametrize("wake", [True, False])
def test_a_replay_lets_new_rules_learn_the_past(*, wake: bool) -> None:
    """It ends where a run by the new model alone would have ended."""
    old, new = model_of(OLD), model_of(WIDER)
    seen = [view(1, 0, "/product"), view(2, 1, "/pricing"), view(3, 4, "/product")]
    changing = Replay(versions_of(old, (T0 + 2 * DAY, new)), wake=wake)
    for event in seen:
        list(changing.take(event))
    list(changing.until(T0 + 5 * DAY))
    always = Replay(new, wake=wake)
    for event in seen:
        list(always.take(event))
    list(always.until(T0 + 5 * DAY))

    (_, changed), (_, constant) = *changing.readings(), *always.readings()
    assert changed.exact == pytest.approx(constant.exact, abs=1e-9)
    assert changed.groups == constant.groups


def test_what_is_new_is_asked_and_what_is_reworded_is_told() -> None:
    """New rules ask for the past; a rule that matches otherwise keeps what it has."""
    old, new = model_of(OLD), model_of(WIDER)
    other = model_of(OLD.replace("/pricing}", "/prices}"))

    assert new_questions(old, new).rules == {"product", "unread"}
    assert not new_questions(new, old)
    assert reworded(old, other) == ["pricing"]
    assert reworded(old, model_of(DEARER)) == []
