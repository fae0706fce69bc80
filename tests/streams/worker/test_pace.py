"""How much a fetch may bring."""

import pytest

from streams.transport.pace import BUSY_SECONDS, FEWEST, MOST, Pace


def worked(per_second: float, fetches: int = 30, at_hand: int = 1_000_000) -> Pace:
    """Return the pace of a worker that does `per_second` of what is at hand."""
    pace = Pace()
    for _ in range(fetches):
        records = min(pace.records, at_hand)
        pace.note(records, records / per_second)
    return pace


@pytest.mark.parametrize("per_second", [1_500.0, 8_000.0, 60_000.0])
def test_a_full_fetch_takes_a_quarter_of_a_second(per_second: float) -> None:
    """However hard the work is, the first record of a fetch waits no longer."""
    assert worked(per_second).records == pytest.approx(
        per_second * BUSY_SECONDS, rel=0.01
    )


@pytest.mark.parametrize(("per_second", "records"), [(1.0, FEWEST), (1e9, MOST)])
def test_the_pace_has_bounds(per_second: float, records: int) -> None:
    """A worker that stands still goes on with a few; memory bounds the rest."""
    assert worked(per_second).records == records


def test_small_fetches_say_nothing() -> None:
    """A worker with little to do is no slow one, though its fetches cost more each."""
    pace = worked(40_000.0)
    before = pace.records
    pace.note(1, 0.02)
    pace.note(10, 0.0)
    assert pace.records == before


def test_a_small_fetch_that_took_long_counts() -> None:
    """Whatever made it slow, the next one brings less."""
    pace = worked(40_000.0)
    before = pace.records
    pace.note(100, 5.0)
    assert pace.records == before // 2
