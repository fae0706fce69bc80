"""Drift: told where scores change their meaning, and not where they do not."""

import pytest

from bench.simulated_funnel import Truth, design, model_of
from streams.learning.drift import Watch

WEIGHTS = (1.5, 0.5, 0.8, -1.0)
SHARES = (0.2, 0.5, 0.3, 0.25)
BEFORE = Truth(WEIGHTS, SHARES)


def alarms(later: Truth, seed: int) -> list[int]:
    """Return after how many outcomes alarms came; from 2,000 on leads are `later`'s."""
    _, model = model_of(tuple(weight * 10 for weight in WEIGHTS))
    watch, found = Watch(), []
    for half, truth in enumerate((BEFORE, later)):
        leads = design(model, truth, 2_000, seed + half)
        for place, (score, won) in enumerate(zip(leads.score, leads.won, strict=True)):
            if watch.heard(float(score), won=bool(won)):
                found.append(half * 2_000 + place)
    return found


@pytest.mark.parametrize(
    ("later", "within"),
    [
        pytest.param(Truth(WEIGHTS, SHARES, base=-2.0), 800, id="half as many are won"),
        pytest.param(Truth((0.0, *WEIGHTS[1:]), SHARES), 1_500, id="a rule stops"),
        pytest.param(Truth((-1.5, -0.5, -0.8, 1.0), SHARES), 400, id="turned round"),
    ],
)
def test_a_change_is_told_soon_and_only_then(later: Truth, within: int) -> None:
    """No alarm comes before the change, and one soon after it."""
    found = alarms(later, seed=4)

    assert found
    assert 2_000 <= found[0] < 2_000 + within


def test_nothing_is_told_where_nothing_changes() -> None:
    """Scores that go on meaning the same raise no alarm."""
    assert alarms(BEFORE, seed=4) == []
