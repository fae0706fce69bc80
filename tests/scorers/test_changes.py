"""What changed since yesterday: the same lead read twice, rule by rule."""

from datetime import UTC, datetime

import pytest

from schemas.event import Event
from schemas.time import DAY, HOUR, to_datetime, to_instant
from scorers.changes import as_it_was, changes_since
from scorers.compiled import CompiledModel, compile_model
from scorers.loading import load_model
from scorers.scorer import on_event, read
from scorers.state import LeadState

T0 = to_instant(datetime(2026, 1, 1, tzinfo=UTC))

MODEL = """
model: changes
version: "1"
groups:
  web:
    cap: 20
    decay: {half_life: 1d}
    rules:
      - {name: pricing, title: Saw the prices, points: 8,
         when: {type: page, properties.path: /pricing}}
      - {name: no-download, title: Clicked and did not download, points: -2,
         absence: {after: {event: Clicked}, unless: {event: Downloaded}, within: 1h}}
  fit:
    cap: 20
    rules:
      - {name: size, title: Size of the company,
         points: {of: traits.employees, per: 10, points: 5, max: 10}}
"""


@pytest.fixture(scope="module")
def model() -> CompiledModel:
    """Return a model whose points halve in a day."""
    return compile_model(load_model(MODEL, "changes.yaml"))


@pytest.fixture
def state(model: CompiledModel) -> LeadState:
    """Return a lead that saw the prices on two days and said its size on the second."""
    state = None
    for number, (at, kind, name, fields) in enumerate(
        [
            (T0, "page", "", {"path": "/pricing"}),
            (T0 + HOUR, "track", "Clicked", {}),
            (T0 + 30 * HOUR, "page", "", {"path": "/pricing"}),
            (T0 + 31 * HOUR, "identify", "", {"employees": 20}),
        ]
    ):
        event = Event(
            id=f"e{number}",
            type=kind,  # type: ignore[arg-type]
            channel="web",
            name=name,
            user_id="ada",
            occurred_at=to_datetime(at),
            properties={} if kind == "identify" else fields,  # type: ignore[arg-type]
            traits=fields if kind == "identify" else {},  # type: ignore[arg-type]
        )
        state = on_event(model, state, event, event.now).state
    assert state is not None
    return state


def test_every_rule_that_moved_is_named_the_largest_first(
    model: CompiledModel, state: LeadState
) -> None:
    """What was learnt, what happened and what faded each have their line."""
    changes = changes_since(model, state, T0 + DAY, T0 + 2 * DAY)

    moved = [(change.rule, change.points) for change in changes.changes]
    assert moved[0] == ("size", 10)
    assert moved[1][0] == "pricing"
    assert moved[1][1] == pytest.approx(8 * 2**-0.75 + 8 / 4 - 4, abs=0.01)
    assert moved[2][0] == "no-download"
    assert moved[2][1] > 0


def test_both_scores_are_as_they_were_published(
    model: CompiledModel, state: LeadState
) -> None:
    """Before and after are the scores at the two instants."""
    changes = changes_since(model, state, T0 + DAY, T0 + 2 * DAY)

    assert changes.before == pytest.approx(8 / 2 - 2 * 2 ** (-22 / 24), abs=0.05)
    assert changes.after == read(model, state, T0 + 2 * DAY).score


def test_a_lead_that_was_not_there_had_nothing(
    model: CompiledModel, state: LeadState
) -> None:
    """Before its first event a lead has no score and no rules."""
    changes = changes_since(model, state, T0 - DAY, T0 + 2 * DAY)

    assert changes.before == 0
    assert all(change.before == 0 for change in changes.changes)


def test_nothing_moved_means_no_lines(model: CompiledModel, state: LeadState) -> None:
    """Two readings of one instant do not differ."""
    now = T0 + 2 * DAY

    assert changes_since(model, state, now, now).changes == ()


def test_rules_of_another_model_are_left_out(state: LeadState) -> None:
    """A rule that the model in force does not know has no part in the past."""
    other = compile_model(
        load_model(MODEL.replace("name: pricing", "name: prices"), "other.yaml")
    )

    past = as_it_was(other, state, T0 + DAY)

    assert "pricing" not in past.rules
