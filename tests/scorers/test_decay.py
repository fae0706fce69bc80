"""What age leaves of points: five kinds, each one's law."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.time import DAY
from scorers.decay import HalfLife, Linear, NoDecay, Stepped
from tests.scorers.small_models import rule_of
from tests.strategies import decays

ages = st.integers(0, 400 * DAY)


@given(decays, ages, ages)
def test_points_never_come_back(text: Any, one: int, other: int) -> None:
    """A share is between nothing and all, and never grows with age."""
    decay = rule_of(decay=text).decay
    young, old = decay.kept(min(one, other)), decay.kept(max(one, other))

    assert 0.0 <= old <= young <= 1.0


@given(decays, ages)
def test_support(text: Any, age: int) -> None:
    """From the age of its support on nothing is left; before it something is."""
    decay = rule_of(decay=text).decay
    support = decay.support

    if support is None:
        assert decay.kept(age) > 0 or isinstance(decay, HalfLife)
    else:
        assert decay.kept(support + age) == 0.0


@given(st.integers(1, 60 * DAY), ages, ages)
def test_half_lives_add_up(half_life: int, first: int, then: int) -> None:
    """To fade for a while and then for another is to fade for both."""
    decay = HalfLife(half_life)
    both = decay.kept(first + then)

    assert math.isclose(
        decay.kept(first) * decay.kept(then), both, rel_tol=1e-9, abs_tol=1e-300
    )


STEPS = {
    "steps": [{"until": "7d", "keep": 1.0}, {"until": "14d", "keep": 0.75}],
    "rest": 0.25,
}


@pytest.mark.parametrize(
    ("text", "kind", "at"),
    [
        pytest.param("none", NoDecay, {0: 1.0, 900: 1.0}, id="none stays"),
        pytest.param(
            {"half_life": "14d"}, HalfLife, {0: 1.0, 14: 0.5, 28: 0.25}, id="half-life"
        ),
        pytest.param(
            {"linear": "10d"}, Linear, {0: 1.0, 4: 0.6, 10: 0.0, 11: 0.0}, id="linear"
        ),
        pytest.param(
            {"expires": "30d"}, Stepped, {0: 1.0, 29: 1.0, 30: 0.0}, id="expires"
        ),
        pytest.param(STEPS, Stepped, {6: 1.0, 7: 0.75, 13: 0.75, 14: 0.25}, id="steps"),
    ],
)
def test_shares(text: Any, kind: type, at: dict[int, float]) -> None:
    """Each kind leaves at each age in days what its text says."""
    decay = rule_of(decay=text).decay

    assert isinstance(decay, kind)
    assert {age: decay.kept(age * DAY) for age in at} == pytest.approx(at)


def test_next_step() -> None:
    """The next step is the first that is later than the age."""
    steps = rule_of(decay=STEPS).decay
    assert isinstance(steps, Stepped)

    assert [steps.next_step(age * DAY) for age in (0, 7, 14)] == [
        7 * DAY,
        14 * DAY,
        None,
    ]


def test_reach() -> None:
    """Beyond its reach a finite decay changes no more."""
    assert Linear(5).reach == 5
    assert Stepped((3, 9), (1.0, 0.5), 0.1).reach == 9
