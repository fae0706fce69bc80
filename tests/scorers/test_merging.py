"""Identities that turn out to be one person score what one lead would have."""

from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.command import Absorb, Link, Retract
from schemas.event import Event
from schemas.time import DAY, HOUR, Instant, to_datetime
from scorers.belonging import merged_days
from scorers.compiled import CompiledModel
from scorers.identity import derive_lead_id
from scorers.mailbox import on_message
from scorers.merging import merged
from scorers.notice import alert_id
from scorers.scorer import on_event, on_retract, on_wakeup, read
from scorers.state import MAX_IDS, LeadState
from scorers.step import Step
from tests.scorers.identities import ADA, LINKS, WHO, World
from tests.scorers.living import event, take
from tests.scorers.small_models import CLICK, model_of
from tests.strategies import START, Input, Retraction, end_of, lives, models

compiled = models().map(lambda choice: choice.compiled)
with_every_alert = models(every_alert=True).map(lambda choice: choice.compiled)
chances = st.randoms(use_true_random=False)
LAST_WORD = LINKS[-1]
_HARMLESS = {"key", "amount"}
"""Properties that make nobody a machine: what machines show links nobody."""


def split(life: list[Input], chance: Random) -> list[Input]:
    """Return a life of which each event shows some of the person's identifiers.

    The one that is learnt last shows them all; a repeated one shows what it did. One
    that was withdrawn before it came is not learnt: it says of nobody who they are.
    """
    events, gone = [], set[str]()
    for item in life:
        if isinstance(item, Retraction):
            gone.update(item.ids)
        else:
            events.append((item, item.id not in gone))
    shown = {event.id: chance.choice(WHO) for event, _ in events}
    shown[[event.id for event, learnt in events if learnt][-1]] = LAST_WORD
    return [
        replace(
            item,
            **shown[item.id],
            properties={
                name: value
                for name, value in item.properties.items()
                if name in _HARMLESS or shown[item.id] != LAST_WORD
            },
            context={} if shown[item.id] == LAST_WORD else item.context,
        )
        if isinstance(item, Event)
        else item
        for item in life
    ]


def one_lead(model: CompiledModel, life: list[Input]) -> LeadState:
    """Return what one lead makes of all events, whatever identifiers they show."""
    state = LeadState(lead_id=ADA)
    for item in life:
        if isinstance(item, Retraction):
            state = take(model, state, item).state
        else:
            state = on_message(model, state, item, item.now, lead_id=ADA).state
    return state


def lived(model: CompiledModel, life: list[Input], chance: Random) -> World:
    """Return what several leads make of it that hear of each other at some time."""
    world = World(model, chance)
    for item in life:
        if isinstance(item, Retraction):
            lead_id = chance.choice(sorted(world.states))
            command = Retract(
                lead_id=lead_id,
                event_ids=item.ids,
                at=to_datetime(item.now),
                reason="test",
            )
            world.send(lead_id, command, item.now)
        else:
            world.send(derive_lead_id(item) or "", item, item.now)
        world.hear(item.now, most=chance.randrange(3))
    world.hear(end_of(life))
    return world


@given(compiled, lives(retractions=False), chances)
def test_any_split_is_one_lead(
    model: CompiledModel, life: list[Input], chance: Random
) -> None:
    """However a life is split, and whenever its parts meet, the score is the same."""
    life = split(life, chance)
    end = end_of(life)
    whole, world = one_lead(model, life), lived(model, life, chance)
    ada = world.states[ADA]

    for span in (0, DAY, 9 * DAY):
        want, have = read(model, whole, end + span), read(model, ada, end + span)
        assert abs(want.exact - have.exact) < 1e-9
        assert want.score == have.score
        assert (want.tier, want.grade) == (have.tier, have.grade)
    assert ada.ids == whole.ids
    assert (ada.emails, ada.user_ids, ada.anonymous_ids) == (
        whole.emails,
        whole.user_ids,
        whole.anonymous_ids,
    )
    assert (ada.traits, ada.former) == (whole.traits, whole.former)
    if not whole.held:  # else one side may have had more that was taken back
        assert ada.recent == whole.recent
    assert (ada.active, ada.first_at, ada.worked_at) == (
        whole.active,
        whole.first_at,
        whole.worked_at,
    )
    assert {key for key, state in world.states.items() if not state.claims} == {ADA}


@given(compiled, lives(retractions=True, repeats=False), chances)
def test_withdrawn_on_any_side(
    model: CompiledModel, life: list[Input], chance: Random
) -> None:
    """What one identity's lead is told to withdraw, no part of the person keeps."""
    life = split(life, chance)
    end = end_of(life)
    whole, world = one_lead(model, life), lived(model, life, chance)

    at = end + DAY
    want, have = read(model, whole, at), read(model, world.states[ADA], at)
    assert abs(want.exact - have.exact) < 1e-9
    assert want.groups == have.groups


@given(with_every_alert, lives(retractions=True), chances)
def test_what_is_said_on_the_way(
    model: CompiledModel, life: list[Input], chance: Random
) -> None:
    """Every lead's updates are numbered without gaps, and no alert is told twice.

    A lead that is no more says so last, with nothing left.
    """
    world = lived(model, split(life, chance), chance)

    assert len({alert.id for alert in world.alerts}) == len(world.alerts)
    numbers = Counter(update.lead_id for update in world.updates)
    for lead_id, state in world.states.items():
        mine = [each for each in world.updates if each.lead_id == lead_id]
        assert [each.sequence for each in mine] == [*range(1, numbers[lead_id] + 1)]
        assert state.sequence == numbers[lead_id]
        for earlier, later in pairwise(mine):
            assert later.previous == earlier.score
        if state.claims and mine:
            assert (mine[-1].score, mine[-1].merged_into is None) == (0.0, False)
        assert all(each.merged_into is None for each in mine) or state.claims


@given(compiled, lives(repeats=False), chances, st.integers(0, 6))
def test_merging_is_commutative_associative_and_idempotent(
    model: CompiledModel, life: list[Input], chance: Random, common: int
) -> None:
    """Whoever takes in whom, in whatever order: an event that all know counts once."""
    shares: list[list[Input]] = [[], [], []]
    for place, item in enumerate(life):
        for share in shares if place < common else [chance.choice(shares)]:
            share.append(item)
    one, two, three = (one_lead(model, share) for share in shares)
    whole = one_lead(model, life)
    end = end_of(life)

    def join(*states: LeadState) -> LeadState:
        first, *others = states
        for other in others:
            first = merged(model, first, other, end)
        return first

    ways = [
        join(one, two, three),
        join(three, two, one),
        join(one, join(three, two)),
        join(two, one, join(one, three), two),
    ]
    want = read(model, whole, end + DAY)
    for way in ways:
        have = read(model, way, end + DAY)
        assert abs(have.exact - want.exact) < 1e-9
        assert way.ids == whole.ids
        assert (way.rules.keys(), way.traits) == (whole.rules.keys(), whole.traits)
        assert way.active == whole.active
        if not whole.held:
            assert way.recent == whole.recent


@pytest.mark.parametrize("decay", ["none", {"half_life": "6h"}, {"half_life": "20d"}])
@pytest.mark.parametrize("sides", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_folded_matches_add_up(decay: object, sides: int, seed: int) -> None:
    """Also what is not kept one by one any more counts, wherever it was folded."""
    chance = Random(seed)
    model = model_of({"name": "clicks", "points": 0.05, "when": CLICK, "decay": decay})
    life = [event(number, number * HOUR) for number in range(900)]
    shares: list[list[Event]] = [[] for _ in range(sides)]
    for each in life:
        shares[chance.randrange(sides)].append(each)
    whole = one_lead(model, list(life))
    state, *others = (one_lead(model, list(share)) for share in shares)
    for other in others:
        state = merged(model, state, other, START)

    for span in (0, DAY, 30 * DAY):
        at = START + 900 * HOUR + span
        want, have = read(model, whole, at), read(model, state, at)
        assert have.exact == pytest.approx(want.exact, rel=1e-9, abs=1e-9)
    assert len(state.ids) == MAX_IDS
    assert state.ids == whole.ids


def test_limits_count_across_both() -> None:
    """What one lead alone let count, both together refuse where one lead would."""
    limit = {"count": 2, "per": "1d"}
    model = model_of({"name": "clicks", "points": 5.0, "when": CLICK, "limit": limit})
    one = one_lead(model, [event(1, HOUR), event(2, 2 * HOUR)])
    two = one_lead(model, [event(3, 0), event(4, 3 * HOUR), event(5, DAY)])
    both = merged(model, one, two, START + DAY)

    assert read(model, both, START + DAY).exact == 15.0


def test_an_absence_that_was_none() -> None:
    """What one identity clicked and the other downloaded was not left lying."""
    model = model_of(
        {
            "name": "left-lying",
            "points": -4.0,
            "absence": {
                "after": {"event": "Content Clicked"},
                "unless": {"event": "Content Downloaded"},
                "within": "1h",
            },
        },
        CLICKS,
    )
    click = event(1, 0, name="Content Clicked")
    load = event(2, 10, name="Content Downloaded")
    paid = event(3, 0)
    one, two = one_lead(model, [click, paid]), one_lead(model, [load])

    assert read(model, one, START + DAY).exact == 6.0
    assert read(model, merged(model, one, two, START), START + DAY).exact == 10.0


def test_the_days_of_both() -> None:
    """Days of activity are counted from the later side's latest."""
    assert merged_days((10, 0b101), (8, 0b11)) == (10, 0b1101)
    assert merged_days((8, 0b11), (10, 0b101)) == (10, 0b1101)
    assert merged_days((0, 0), (10, 0b101)) == (10, 0b101)
    assert merged_days((0, 0), (0, 0)) == (0, 0)


# ── alerts ──────────────────────────────────────────────────────────────────────

HOT = {"name": "hot", "kind": "hot", "enter": 20.0, "cooldown": "1d"}
COOLED = {"name": "cooled", "kind": "cooled", "of": "hot"}
UNWORKED = {"name": "slow", "kind": "unworked", "of": "hot", "after": "2h"}
CLICKS = {"name": "clicks", "points": 10.0, "when": CLICK}


def absorbed(
    model: CompiledModel, kept: LeadState | None, other: LeadState, at: Instant
) -> Step:
    """Return what follows when `kept` takes `other` in."""
    moment = to_datetime(at)
    link = Link(lead_id=other.lead_id, to=ADA, since=moment, at=moment)
    handed = on_message(model, other, link, at, lead_id=other.lead_id)
    (absorb,) = [each for each in handed.commands if isinstance(each, Absorb)]
    return on_message(model, kept, absorb, at, lead_id=ADA)


def cookie(model: CompiledModel, life: list[Input]) -> LeadState:
    """Return what an anonymous lead makes of a life."""
    state = LeadState(lead_id="ld_cookie")
    for item in life:
        assert isinstance(item, Event)
        anonymous = replace(item, user_id=None, anonymous_id="cookie")
        state = on_event(model, state, anonymous, item.now).state
    return state


def test_nobody_is_told_twice_of_one_rise() -> None:
    """Who was told of the visitor is not told again when a name is known."""
    model = model_of(CLICKS, alerts=[HOT, COOLED])
    hot = cookie(model, [event(1), event(2, 1)])
    step = absorbed(model, one_lead(model, [event(3, 2)]), hot, START + 5)

    assert step.alerts == ()
    assert step.state.alerts["hot"].phase == "in"
    assert [update.cause.kind for update in step.updates] == ["merge"]


def test_a_rise_that_only_both_make_is_told() -> None:
    """Two lukewarm identities may be one hot person, who is told once."""
    model = model_of(CLICKS, alerts=[HOT, COOLED])
    step = absorbed(
        model, one_lead(model, [event(1)]), cookie(model, [event(2, 1)]), START + 5
    )

    assert [(alert.alert, alert.reason) for alert in step.alerts] == [
        ("hot", "crossed-threshold")
    ]
    assert step.alerts[0].lead_id == ADA


def test_what_is_recalled_is_what_was_told() -> None:
    """A recall names the alert by the id under which somebody was told of it."""
    model = model_of(CLICKS, alerts=[HOT, COOLED])
    anonymous = cookie(model, [event(1), event(2, 1)])
    step = absorbed(model, None, anonymous, START + 5)
    gone = on_retract(model, step.state, ["1"], START + 6)

    recalls = [each.recalls for each in gone.alerts if each.recalls is not None]
    assert recalls == [alert_id("ld_cookie", "hot", 1)]
    assert not {each.id for each in gone.alerts} & {*recalls, alert_id(ADA, "hot", 1)}


def test_the_cooldown_of_either_holds() -> None:
    """A telling counts for the cooldown, whoever of the two it was about."""
    fading = {**CLICKS, "decay": {"expires": "1h"}}
    model = model_of(fading, alerts=[{**HOT, "re_rise": 5.0}])
    told = on_wakeup(model, cookie(model, [event(1), event(2, 1)]), START + 2 * HOUR)
    assert told.state.alerts["hot"].phase == "out"
    step = absorbed(model, None, told.state, START + 2 * HOUR)
    for each in (event(3, 3 * HOUR), event(4, 3 * HOUR)):
        step = on_message(model, step.state, each, each.now, lead_id=ADA)

    assert step.alerts == ()
    assert [each.reason for each in step.decisions] == ["cooldown"]


@pytest.mark.parametrize("worked", [False, True])
def test_what_nobody_dealt_with(*, worked: bool) -> None:
    """An alert that sales has answered is not brought up again; another one is."""
    model = model_of(CLICKS, alerts=[HOT, UNWORKED])
    life: list[Input] = [event(1), event(2, 1)]
    if worked:
        life.append(event(9, HOUR, name="Call Logged", channel="crm"))
    step = absorbed(model, None, cookie(model, life), START + HOUR + 1)
    later = on_wakeup(model, step.state, START + 3 * HOUR)

    assert [alert.alert for alert in later.alerts] == ([] if worked else ["slow"])
