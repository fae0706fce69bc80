"""What would make a lead gold: every answer is tried on a copy of the lead."""

from datetime import UTC, datetime

import pytest

from schemas.event import Event
from schemas.time import DAY, to_datetime, to_instant
from scorers.compiled import CompiledModel, compile_model
from scorers.loading import load_model
from scorers.scorer import on_event, read
from scorers.state import LeadState, encode_state
from scorers.whatif import way_up

T0 = to_instant(datetime(2026, 1, 1, tzinfo=UTC))

MODEL = """
model: what-if
version: "1"
groups:
  web:
    cap: 20
    decay: {half_life: 14d}
    rules:
      - {name: pricing, title: Saw the prices, points: 5,
         when: {type: page, properties.path: /pricing}}
      - {name: demo, title: Asked for a demo, points: 15, when: {event: Demo Requested}}
      - {name: careers, title: Looked for a job, points: -5,
         when: {type: page, properties.path: /careers}}
      - {name: quiz, title: Took the quiz,
         when: {event: Quiz Taken},
         points: {of: properties.result,
                  ladder: [{at: 1, points: 1}, {at: 9, points: 4}]}}
  content:
    cap: 30
    rules:
      - {name: ebook, title: Read the e-book, points: 6, when: {event: Downloaded}}
  fit:
    cap: 20
    rules:
      - {name: size, title: Size of the company,
         points: {of: traits.employees, per: 10, points: 5, max: 10}}
      - {name: seniority, title: Seniority,
         points: {of: traits.seniority, values: {vp: 8, junior: 1}}}
      - {name: partner, title: Is a partner, where: {traits.partner: true}, points: 4}
  activity:
    cap: 0
    floor: -10
    rules:
      - {name: silence, title: Silent, silence: {first: 14d, then: 7d}, points: -1,
         max: 10}
tiers: [{name: gold, at: 30}]
"""


@pytest.fixture(scope="module")
def model() -> CompiledModel:
    """Return a model with every kind of rule that could lift a score."""
    return compile_model(load_model(MODEL, "what-if.yaml"))


def lead(
    model: CompiledModel, *events: tuple[int, str, str, dict[str, object]]
) -> LeadState:
    """Return the state after events of (day, type, name, properties or traits)."""
    state = None
    for number, (day, kind, name, fields) in enumerate(events):
        event = Event(
            id=f"e{number}",
            type=kind,  # type: ignore[arg-type]
            channel="web",
            name=name,
            user_id="ada",
            occurred_at=to_datetime(T0 + day * DAY),
            properties={} if kind == "identify" else fields,
            traits=fields if kind == "identify" else {},
        )
        state = on_event(model, state, event, event.now).state
    assert state is not None
    return state


def test_one_event_that_suffices_is_the_plan(model: CompiledModel) -> None:
    """The fewest things that reach the target are proposed, the smallest of them."""
    state = lead(model, (0, "page", "", {"path": "/pricing"}))

    way = way_up(model, state, 10, T0)

    assert (way.score, way.reaches) == (5, 10)
    assert [option.rule for option in way.plan] == ["pricing"]


def test_several_are_combined_within_the_caps(model: CompiledModel) -> None:
    """The plan's score is read with caps: web cannot give more than its twenty."""
    state = lead(model, (0, "page", "", {"path": "/pricing"}))

    way = way_up(model, state, 30, T0)

    assert {option.rule for option in way.plan} == {"demo", "size"}
    assert way.reaches == 30
    demo = next(option for option in way.options if option.rule == "demo")
    assert demo.points == 15
    assert demo.text == "Asked for a demo"


def test_out_of_reach_says_how_far_it_gets(model: CompiledModel) -> None:
    """Where three things do not suffice, the best three are named all the same."""
    state = lead(model, (0, "page", "", {"path": "/pricing"}))

    way = way_up(model, state, 70, T0)

    assert len(way.plan) == 3
    assert way.reaches < 70
    assert way.reaches == 38


def test_nothing_is_proposed_to_a_lead_that_is_there(model: CompiledModel) -> None:
    """A lead at its target needs no plan."""
    state = lead(model, (0, "track", "Demo Requested", {}))

    way = way_up(model, state, 15, T0)

    assert way.plan == ()
    assert way.reaches == 15


def test_known_traits_and_negative_rules_are_not_wished_for(
    model: CompiledModel,
) -> None:
    """What is known of a company is a fact; a job search lifts nobody."""
    state = lead(
        model,
        (0, "identify", "", {"employees": 3, "seniority": None}),
        (0, "page", "", {"path": "/pricing"}),
    )

    rules = {option.rule for option in way_up(model, state, 30, T0).options}

    assert rules == {"pricing", "demo", "quiz", "ebook", "seniority"}


def test_the_best_value_of_a_ladder_and_a_table_is_tried(model: CompiledModel) -> None:
    """An option gives what its best value gives."""
    state = lead(model, (0, "page", "", {"path": "/pricing"}))

    points = {
        option.rule: option.points for option in way_up(model, state, 1, T0).options
    }

    assert points["quiz"] == 4
    assert points["seniority"] == 8
    assert points["size"] == 10


def test_any_sign_of_life_ends_the_silence(model: CompiledModel) -> None:
    """What the silence took comes back with the first event."""
    state = lead(model, (0, "track", "Downloaded", {}))
    now = T0 + 21 * DAY

    ebook = next(
        option
        for option in way_up(model, state, 60, now).options
        if option.rule == "ebook"
    )

    assert read(model, state, now).score == 4
    assert ebook.points == 8


def test_asking_changes_nothing(model: CompiledModel) -> None:
    """The lead that is asked about stays as it was."""
    state = lead(model, (0, "page", "", {"path": "/pricing"}))
    before = encode_state(state)

    way_up(model, state, 60, T0 + DAY)

    assert encode_state(state) == before
