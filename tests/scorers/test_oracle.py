"""The core against an oracle that keeps all events and starts from scratch."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings

from schemas.time import DAY
from scorers.scorer import read
from tests.oracle import Oracle
from tests.scorers.living import live
from tests.strategies import Choice, Input, Retraction, end_of, lives, models

_THOROUGH = settings().max_examples >= 1_000
_PARTS = range(10 if _THOROUGH else 1)
_EACH = settings().max_examples * (1 if _THOROUGH else 5)


@pytest.mark.hypothesis
@pytest.mark.parametrize("part", _PARTS)
def test_agrees_with_the_oracle(
    part: int, record_property: Callable[[str, object], None]
) -> None:
    """Scores, tiers and alerts of a random life are those of the oracle."""
    del part
    compared = 0

    @settings(max_examples=_EACH)
    @given(models(), lives(retractions=True))
    def agrees(choice: Choice, life: list[Input]) -> None:
        nonlocal compared
        compared += 1
        _compare(choice, life)

    agrees()
    record_property("lives compared", compared)
    assert compared >= _EACH


def _compare(choice: Choice, life: list[Input]) -> None:
    model, oracle = choice.compiled, Oracle(choice.model)
    end = end_of(life) + 45 * DAY
    story = live(model, life, end)
    for item in life:
        if isinstance(item, Retraction):
            oracle.withdraw(item.ids, item.now)
        else:
            oracle.take(item)
    oracle.until(end)
    reading = read(model, story.state, end)

    assert abs(reading.exact - oracle.exact(end)) < 1e-9
    assert (reading.score, reading.tier) == (oracle.score(end), oracle.tier)
    assert story.tiers == oracle.tiers
    assert story.facts == [tuple(fact) for fact in oracle.facts]
