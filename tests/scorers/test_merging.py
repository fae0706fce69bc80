"""Identities that turn out to be one person score what one lead would have."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.command import Retract
from schemas.event import Event
from schemas.time import DAY, to_datetime
from scorers.compiled import CompiledModel, compile_model
from scorers.identity import derive_lead_id
from scorers.mailbox import on_message
from scorers.scorer import read
from scorers.state import LeadState
from tests.scorers.identities import ADA, LINKS, WHO, World
from tests.scorers.living import take
from tests.strategies import Input, Retraction, end_of, lives, models

compiled = models().map(compile_model)
with_every_alert = models(every_alert=True).map(compile_model)
chances = st.randoms(use_true_random=False)
LAST_WORD = LINKS[-1]


def split(life: list[Input], chance: Random) -> list[Input]:
    """Return a life of which each event shows some of the person's identifiers.

    The one that is received last shows them all; a repeated one shows what it did.
    """
    events = [item for item in life if isinstance(item, Event)]
    shown = {event.id: chance.choice(WHO) for event in events}
    shown[events[-1].id] = LAST_WORD
    return [
        replace(
            item,
            **shown[item.id],
            properties={
                name: value
                for name, value in item.properties.items()
                if name != "machine" or shown[item.id] != LAST_WORD
            },
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
    assert (ada.traits, ada.former, ada.recent) == (
        whole.traits,
        whole.former,
        whole.recent,
    )
    assert (ada.active, ada.first_at, ada.worked_at) == (
        whole.active,
        whole.first_at,
        whole.worked_at,
    )
    assert {state.lead_id for state in world.states.values() if not state.claims} == {
        ADA
    }
