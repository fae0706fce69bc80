"""The laws of scoring: they hold for every model and every life."""

import math
from datetime import timedelta
from itertools import cycle, pairwise
from typing import Any

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.event import Event
from schemas.score import WHOLE_SCORE
from schemas.time import DAY, HOUR, Instant
from scorers.compiled import CompiledModel, compile_model
from scorers.masses import hash64
from scorers.model import Model
from scorers.notice import alert_id
from scorers.scorer import on_event, on_model_change, on_wakeup, read
from scorers.state import LeadState, decode_state, encode_state
from tests.oracle import Oracle
from tests.scorers.living import at_instants, late_by, live, prompt, take
from tests.strategies import (
    START,
    Choice,
    Input,
    Retraction,
    end_of,
    lives,
    models,
    plain_models,
)

compiled = models().map(lambda choice: choice.compiled)
with_every_alert = models(every_alert=True).map(lambda choice: choice.compiled)
events_only = lives(repeats=False)
AFTER = 45 * DAY


def _final(
    model: CompiledModel, life: list[Input], end: Instant
) -> tuple[float, dict[str, float]]:
    reading = read(model, live(model, life, end).state, end)
    return reading.exact, reading.groups


@given(compiled, events_only, st.randoms(use_true_random=False))
def test_order_of_arrival(model: CompiledModel, life: list[Event], random: Any) -> None:
    """However events are shuffled on their way, the score is the same to the bit."""
    end = end_of(life) + DAY
    shuffled = list(life)
    random.shuffle(shuffled)

    assert _final(model, shuffled, end) == _final(model, life, end)


@given(compiled, events_only, st.lists(st.integers(0, 30 * DAY), min_size=1))
def test_delay(model: CompiledModel, life: list[Event], delays: list[int]) -> None:
    """However long events are on their way, the score is the same to the bit."""
    late = [
        msgspec.structs.replace(
            event,
            occurred_at=min(event.occurred_at, event.received_at or event.occurred_at),
            received_at=event.received_at
            and event.received_at + timedelta(milliseconds=delay),
        )
        for event, delay in zip(life, cycle(delays), strict=False)
    ]
    late.sort(key=lambda event: event.now)
    end = end_of(late) + DAY

    assert _final(model, late, end) == _final(model, life, end)


@given(compiled, events_only, st.data())
def test_duplicates(
    model: CompiledModel, life: list[Event], data: st.DataObject
) -> None:
    """An event that comes again changes nothing, bit for bit."""
    state: LeadState | None = None
    for place, event in enumerate(life):
        state = on_event(model, state, event, event.now).state
        again = life[data.draw(st.integers(0, place), label="again")]
        before = encode_state(state)
        step = on_event(model, state, again, state.now + HOUR)

        assert step.outcome == "duplicate"
        assert (step.updates, step.alerts) == ((), ())
        assert encode_state(step.state) == before


@given(compiled, lives(), st.lists(st.integers(-DAY, 90 * DAY), max_size=5))
def test_reading(model: CompiledModel, life: list[Input], spans: list[int]) -> None:
    """Reading a lead changes nothing, whenever and however often."""
    state = live(model, life, end_of(life)).state
    before = encode_state(state)
    for span in spans:
        read(model, state, state.now + span)

    assert encode_state(state) == before


@given(with_every_alert, lives(retractions=True), st.data())
def test_wakeups_are_hints(
    model: CompiledModel, life: list[Input], data: st.DataObject
) -> None:
    """Prompt, late, random or absent, wake-ups leave the same facts."""
    end = end_of(life) + AFTER
    absent = live(model, life, end)
    random = data.draw(st.lists(st.integers(START, end), max_size=20), label="random")
    delay = data.draw(st.integers(1, 3 * DAY), label="delay")
    for wake in (prompt, late_by(delay), at_instants(random)):
        woken = live(model, life, end, wake)

        assert woken.told == absent.told
        assert woken.tiers == absent.tiers
        assert woken.state.alerts == absent.state.alerts
        assert _as_read(model, woken.state, end) == _as_read(model, absent.state, end)


def _as_read(model: CompiledModel, state: LeadState, at: Instant) -> object:
    return msgspec.to_builtins(read(model, state, at))


@given(models(), lives(), st.lists(st.integers(0, 90 * DAY), max_size=8))
def test_bounds(choice: Choice, life: list[Input], spans: list[int]) -> None:
    """A score is within 0 and 100, a group within floor and cap, at every instant."""
    text, model = choice.model, choice.compiled
    story = live(model, life, end_of(life), prompt)
    readings = [read(model, story.state, story.state.now + span) for span in spans]
    for said in (*story.updates, *readings):
        assert 0 <= said.score <= min(100, sum(g.cap for g in text.groups.values()))
        for name, points in said.groups.items():
            floor = text.groups[name].floor
            assert points <= text.groups[name].cap
            assert points >= (-100 * 4 if floor is None else floor)
            assert math.isfinite(points)


@given(models(), lives(), st.integers(0, 20 * DAY), st.data())
def test_next_change(choice: Choice, life: list[Input], span: int, data: Any) -> None:
    """`next_change_at` is the very millisecond at which the published score changes."""
    model = choice.compiled
    state = live(model, life, end_of(life)).state
    now = state.now + span
    here = read(model, state, now)
    change = here.next_change_at
    last = now + 400 * DAY if change is None else change - 1
    if change is not None:
        assert change > now
        assert read(model, state, change).score != here.score
    between = data.draw(st.lists(st.integers(now, last), max_size=5), label="between")
    for instant in (*between, last):
        assert read(model, state, instant).score == here.score
    oracle = Oracle(choice.model)
    for event in life:
        oracle.take(event)
    assert _agrees(oracle, oracle.first_change(now, last + 1, None), change)


def _agrees(oracle: Oracle, wanted: Instant | None, found: Instant | None) -> bool:
    """Say whether two instants are one, as far as floats can tell them apart."""
    if wanted == found:
        return True
    if wanted is None or found is None:
        return False
    return abs(oracle.exact(wanted) - oracle.exact(found)) < 1e-12


@given(with_every_alert, lives(), st.data())
def test_tick_before_its_time(
    model: CompiledModel, life: list[Input], data: st.DataObject
) -> None:
    """A tick before anything is planned changes nothing, bit for bit."""
    state = live(model, life, end_of(life), prompt).state
    last = state.now + 100 * DAY if state.wake_at is None else state.wake_at - 1
    tick = data.draw(st.integers(state.now, last), label="tick")
    before = encode_state(state)
    step = on_wakeup(model, state, tick)

    assert (step.updates, step.alerts, step.decisions) == ((), (), ())
    assert encode_state(step.state) == before


@given(compiled, lives())
def test_every_planned_look_is_needed(model: CompiledModel, life: list[Input]) -> None:
    """A look in time finds something new, or moves what an alert waits for."""
    state = live(model, life, end_of(life), prompt).state
    for _ in range(5):
        if state.wake_at is None:
            return
        step = on_wakeup(model, state, state.wake_at)
        assert step.state.now == state.wake_at
        assert step.state.wake_at is None or step.state.wake_at > state.wake_at
        assert step.updates or step.decisions or step.state.alerts != state.alerts
        state = step.state


@given(compiled, lives(retractions=True, repeats=False))
def test_retraction(model: CompiledModel, life: list[Input]) -> None:
    """What is withdrawn has never happened, to the bit."""
    gone = {id_ for item in life if isinstance(item, Retraction) for id_ in item.ids}
    rest = [
        item
        for item in life
        if not isinstance(item, Retraction) and item.id not in gone
    ]
    assume(rest)
    end = end_of(life) + DAY
    state = live(model, life, end).state

    assert _final(model, life, end) == _final(model, rest, end)
    assert {hash64(id_) for id_ in gone} <= set(state.ids)


@given(compiled, lives(), st.integers(0, 60 * DAY))
def test_ledger(model: CompiledModel, life: list[Input], span: int) -> None:
    """The ledger's lines sum to the exact score."""
    state = live(model, life, end_of(life)).state
    reading = read(model, state, state.now + span)

    assert abs(math.fsum(line.points for line in reading.ledger) - reading.exact) < 1e-9


@given(compiled, lives())
def test_published_ledger(model: CompiledModel, life: list[Input]) -> None:
    """An update's ledger sums to its score, and each group's lines to its points."""
    for update in live(model, life, end_of(life) + DAY).updates:
        lines = {name: math.fsum(each.values()) for name, each in update.ledger.items()}
        assert abs(math.fsum(lines.values()) - update.score) < 1e-6
        lines.pop(WHOLE_SCORE, None)
        assert lines.keys() <= update.groups.keys()
        for name, points in update.groups.items():
            assert abs(lines.get(name, 0.0) - points) < 0.006


@given(with_every_alert, lives(retractions=True))
def test_storage(model: CompiledModel, life: list[Input]) -> None:
    """A lead that is stored and read back between inputs lives the same life."""
    kept: LeadState | None = None
    stored: bytes | None = None
    for item in life:
        step = take(model, kept, item)
        again = take(model, None if stored is None else decode_state(stored), item)
        kept, stored = step.state, encode_state(again.state)

        assert (step.updates, step.alerts) == (again.updates, again.alerts)
        assert encode_state(kept) == stored


@given(with_every_alert, lives(retractions=True))
def test_inputs_stay_whole(model: CompiledModel, life: list[Input]) -> None:
    """Neither the state nor the event that the core is given is ever changed."""
    state: LeadState | None = None
    for item in life:
        given_state = None if state is None else encode_state(state)
        given_item = msgspec.json.encode(item)
        following = take(model, state, item).state
        if state is not None:
            on_wakeup(model, state, item.now)
            read(model, state, item.now)
            assert encode_state(state) == given_state
        assert msgspec.json.encode(item) == given_item
        state = following


@given(plain_models, lives(), st.floats(0.25, 3), st.data())
def test_new_points(
    choice: Choice, life: list[Input], factor: float, data: st.DataObject
) -> None:
    """A new version's points and caps apply at once, as if they had always held."""
    old, text = choice.compiled, choice.text()
    for group in text["groups"].values():
        group["cap"] = data.draw(st.sampled_from([3.0, 20.0, 50.0]), label="cap")
        for rule in group["rules"]:
            if isinstance(rule["points"], float):
                rule["points"] = max(-30.0, min(30.0, rule["points"] * factor))
    new = compile_model(Model.model_validate({**text, "version": "2"}))
    at = end_of(life) + DAY
    state = live(old, life, at).state
    changed = on_model_change(old, new, state, at).state
    fresh = live(new, life, at).state
    lazy = on_wakeup(new, state, at)

    for adopted in (changed, lazy.state, state):
        assert _as_read(new, adopted, at + DAY) == _as_read(new, fresh, at + DAY)
    assert {update.cause.kind for update in lazy.updates} <= {"model"}
    assert changed.score == lazy.state.score == fresh.score


@given(with_every_alert, lives(retractions=True))
def test_sequence(model: CompiledModel, life: list[Input]) -> None:
    """Each update has the next number, and starts where the last one ended."""
    story = live(model, life, end_of(life) + DAY, prompt)
    updates = story.updates

    assert [u.sequence for u in updates] == list(range(1, len(updates) + 1))
    assert story.state.sequence == len(updates)
    for earlier, later in pairwise(updates):
        assert (later.previous, later.previous_tier) == (earlier.score, earlier.tier)
        assert later.as_of >= earlier.as_of
        assert math.isclose(later.delta, later.score - later.previous, abs_tol=1e-6)


@given(with_every_alert, lives(retractions=True))
def test_alert_ids(model: CompiledModel, life: list[Input]) -> None:
    """An alert's id is its lead, name and episode; no two alerts share one."""
    alerts = live(model, life, end_of(life) + AFTER).alerts

    assert len({alert.id for alert in alerts}) == len(alerts)
    for alert in alerts:
        name = f"{alert.alert}/recall" if alert.reason == "recalled" else alert.alert
        assert alert.id == alert_id(alert.lead_id, name, alert.episode)
