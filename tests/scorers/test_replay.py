"""Replay: the fold that a live worker is, without a broker."""

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.event import Event
from schemas.time import DAY, HOUR, MINUTE, SECOND, to_datetime, to_instant
from scorers.account_state import AccountState
from scorers.accounts import AccountStep, on_account_wakeup, on_member
from scorers.compiled import compile_model
from scorers.identity import lead_id_of
from scorers.loading import load_model
from scorers.replay import Replay, Told
from scorers.step import Step
from tests.scorers.living import event
from tests.scorers.small_models import CLICK, model_of
from tests.strategies import START

FADING = {"name": "c", "when": CLICK, "points": 20.0, "decay": {"half_life": "1d"}}
MODEL = model_of(FADING, tiers=[{"name": "gold", "at": 15.0}])
END = START + 3 * DAY


def replayed(*, wake: bool) -> tuple[list[Step], Replay]:
    """Return a replay of two leads, one of which comes again."""
    replay = Replay(MODEL, wake=wake)
    other = replace(event(2, DAY), user_id=None, anonymous_id="anon")
    steps = [
        step
        for item in (event(1), other, event(3, 2 * DAY), event(1, 2 * DAY))
        for step in replay.take(item)
    ]
    steps += replay.until(END)
    return [step for step in steps if isinstance(step, Step)], replay


def test_waking_or_not_comes_to_the_same() -> None:
    """With and without wake-ups the readings and the tiers are the same."""
    woken, awake = replayed(wake=True)
    unwoken, asleep = replayed(wake=False)

    def tiers(steps: list[Step]) -> list[tuple[str, str, object]]:
        return sorted(
            (update.lead_id, update.tier, update.as_of)
            for step in steps
            for update in step.updates
            if update.tier != update.previous_tier
        )

    assert len(woken) > len(unwoken)
    assert tiers(woken) == tiers(unwoken)
    assert [reading for _, reading in awake.readings()] == [
        reading for _, reading in asleep.readings()
    ]
    assert [step.outcome for step in unwoken[:4]] == ["scored"] * 3 + ["duplicate"]


def test_every_look_is_at_its_planned_instant() -> None:
    """A woken lead is looked at when its step before said so."""
    steps, _ = replayed(wake=True)
    planned = {step.wake_at for step in steps}
    first = [
        step for step in steps if step.state.lead_id == lead_id_of("user_id", "ada")
    ]

    assert first[1].state.now == first[0].wake_at
    assert {step.state.now for step in steps if step.outcome == "scored"} <= {
        *planned,
        START,
        START + DAY,
        START + 2 * DAY,
    }


def test_event_of_nobody() -> None:
    """An event that names nobody is refused."""
    nobody = replace(event(1), user_id="undefined")
    with pytest.raises(ValueError, match="belongs to nobody"):
        list(Replay(MODEL).take(nobody))


# ── accounts ────────────────────────────────────────────────────────────────────

WITH_ACCOUNTS = compile_model(
    load_model(
        """\
model: accounts
version: "1"
groups:
  web:
    cap: 100
    rules: [{name: page, when: {type: page}, points: 20, decay: {half_life: 1d}}]
tiers: [{name: gold, at: 40}, {name: bronze, at: 10}]
accounts:
  score: {kind: top_mean, people: 2}
  active: {at_least: 2, of_tier: bronze, within: 2d}
  alerts:
    - {name: group, kind: account-surge, people: 2, within: 1h, dwell: 5m, cooldown: 1d}
""",
        "accounts.yaml",
    )
)
PEOPLE = ("ada@acme.example", "bob@acme.example", "cyn@acme.example", "x@gmail.com")
# Days of leads that are woken every few seconds: ten times as long as other laws.
LAW = settings(max_examples=settings().max_examples // 8)


@st.composite
def visits(draw: st.DrawFn) -> list[Event]:
    """Draw what a few people do over some days, in the order of receipt."""
    now, drawn = START, []
    for number in range(draw(st.integers(1, 15))):
        now += draw(st.sampled_from([0, SECOND, 7 * MINUTE, 59 * MINUTE, DAY]))
        happened = now - draw(st.sampled_from([0, 0, MINUTE, 5 * HOUR]))
        drawn.append(
            Event(
                id=str(number),
                type="page",
                channel="web",
                name="/",
                email=draw(st.sampled_from(PEOPLE)),
                occurred_at=to_datetime(happened),
                received_at=to_datetime(now),
            )
        )
    return drawn


def lived(events: list[Event], *, wake: bool) -> tuple[Replay, list[Told]]:
    replay = Replay(WITH_ACCOUNTS, wake=wake)
    told = [step for item in events for step in replay.take(item)]
    told += replay.until(events[-1].now + 4 * DAY)
    return replay, told


def surges(told: list[Told]) -> list[tuple[str, object, str]]:
    return [
        (alert.id, alert.occurred_at, alert.reason)
        for step in told
        if isinstance(step, AccountStep)
        for alert in step.alerts
    ]


@LAW
@given(visits())
def test_an_account_is_its_people_whether_anybody_is_woken_or_not(
    events: list[Event],
) -> None:
    """The account's score is the sum of its leads' own; wake-ups change no alert."""
    awake, woken = lived(events, wake=True)
    asleep, unwoken = lived(events, wake=False)

    assert surges(woken) == surges(unwoken)
    for replay in (awake, asleep):
        for account in replay.accounts.values():
            people = sorted(
                (
                    reading.score
                    for state, reading in replay.readings()
                    if state.account_id == account.account_id
                ),
                reverse=True,
            )
            expected = math.fsum(people[:2]) / 2
            assert len(account.members) == len(people)
            assert account.published.score == pytest.approx(expected, abs=0.0501)
    assert {each: state.published.score for each, state in awake.accounts.items()} == {
        each: state.published.score for each, state in asleep.accounts.items()
    }


@LAW
@given(visits(), st.randoms(use_true_random=False))
def test_the_order_of_words_gives_the_same_account(
    events: list[Event], chance: Random
) -> None:
    """What leads told, heard in any order and twice, adds up to the same account."""
    replay, told = lived(events, wake=True)
    words = [word for s in told if isinstance(s, Step) for word in s.members]
    end = events[-1].now + 4 * DAY
    mixed = [*words, *chance.choices(words, k=3)] if words else []
    chance.shuffle(mixed)
    accounts: dict[str, AccountState] = {}
    for word in mixed:
        known = accounts.get(word.account_id)
        step = on_member(WITH_ACCOUNTS, known, word, to_instant(word.as_of))
        accounts[word.account_id] = step.state
    for account_id, state in accounts.items():
        heard = on_account_wakeup(WITH_ACCOUNTS, state, end).state.published
        straight = replay.accounts[account_id].published
        assert replace(heard, trend=0.0) == replace(straight, trend=0.0)


def test_a_withdrawn_event_recalls_the_surge() -> None:
    """What a machine did is taken back: from the lead, and from its account."""
    replay = Replay(WITH_ACCOUNTS)
    for number, email in enumerate(PEOPLE[:2]):
        item = replace(event(number), user_id=None, email=email, type="page")
        list(replay.take(item))
    told = surges(list(replay.until(START + 6 * MINUTE)))
    assert [reason for _, _, reason in told] == ["surged"]

    lead_id = lead_id_of("email", PEOPLE[1])
    steps = list(replay.retract(lead_id, ["1"], START + 7 * MINUTE))

    assert [reason for _, _, reason in surges(steps)] == ["recalled"]
    assert replay.states[lead_id].score == 0
