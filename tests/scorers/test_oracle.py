"""The core against an oracle that keeps all events and starts from scratch."""

from hypothesis import given, settings

from schemas.time import DAY
from scorers.compiled import compile_model
from scorers.model import Model
from scorers.scorer import read
from tests.oracle import Oracle
from tests.scorers.living import live
from tests.strategies import Input, Retraction, end_of, lives, models

_ENOUGH = 1_000


def _examples() -> int:
    usual = settings().max_examples
    return usual * (10 if usual >= _ENOUGH else 5)


@settings(max_examples=_examples())
@given(models(), lives(retractions=True))
def test_agrees_with_the_oracle(text: Model, life: list[Input]) -> None:
    """Scores, tiers and alerts of a random life are those of the oracle."""
    model, oracle = compile_model(text), Oracle(text)
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
