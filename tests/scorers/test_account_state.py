"""On which days a person of an account was active, looked at from any day."""

import pytest

from schemas.time import DAY
from scorers.account_state import Member

NEWEST = 20_000
ACTIVE = (NEWEST, NEWEST - 1, NEWEST - 5)


def member(active_at: int | None, active_days: int) -> Member:
    return Member(
        sequence=1,
        score=0.0,
        tier="none",
        grade="",
        active_at=active_at,
        active_days=active_days,
        signs=(),
        name="",
        domain=None,
        owner=None,
        stage=None,
        last_event=None,
    )


@pytest.mark.parametrize("newest", range(NEWEST - 8, NEWEST + 9))
@pytest.mark.parametrize("days", [1, 2, 5, 7])
def test_days_of_activity_count_within_a_stretch(newest: int, days: int) -> None:
    """Of the days up to one, so many had activity as a calendar would say."""
    bits = sum(1 << (NEWEST - day) for day in ACTIVE)
    stretch = range(newest - days + 1, newest + 1)

    found = member(NEWEST * DAY, bits).days_active(newest, days)

    assert found == sum(day in stretch for day in ACTIVE)


def test_who_was_never_active_was_active_on_no_day() -> None:
    """Without activity there is no day of it, and the first is far away."""
    assert member(None, 0).days_active(NEWEST, 7) == 0
    assert member(None, 0).first_day() > NEWEST
    assert member(NEWEST * DAY, 0b100001).first_day() == NEWEST - 5
