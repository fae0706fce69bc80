"""Replay: the fold that a live worker is, without a broker."""

import pytest
from msgspec.structs import replace

from schemas.time import DAY
from scorers.identity import lead_id_of
from scorers.replay import Replay
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
    return [*steps, *replay.until(END)], replay


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
