"""The bench's proof notices what a contender got wrong."""

from collections.abc import Callable

import pytest

from bench.peers.proof import Pair, WrongResultError, fold, prove
from bench.peers.toy import Event, Score, decode_score, encode, scored

EVENTS = [
    Event(lead=f"lead-{number % 3}", at=1_000_000 * number, points=1.5)
    for number in range(12)
]


def _written() -> list[Score]:
    """Return what a contender publishes that does everything right."""
    scores: dict[str, Score] = {}
    outputs = []
    for event in EVENTS:
        before = scores.get(event.lead)
        score = scored(event.lead, before, event.at, event.points)
        scores[event.lead] = score
        outputs.append(score)
    return outputs


def _records(scores: list[Score]) -> list[Pair]:
    return [(score.lead.encode(), encode(score)) for score in scores]


def _prove(outputs: list[Pair], changes: list[Pair]) -> None:
    prove(fold(EVENTS), outputs, changes, lambda _, value: decode_score(value))


def _off_by_a_little(scores: list[Score]) -> list[Score]:
    last = scores[-1]
    return [*scores[:-1], Score(last.lead, last.score * 1.000001, last.at, last.count)]


def test_right_results_are_proved() -> None:
    """Outputs of every event and a changelog of final states pass."""
    written = _records(_written())
    _prove(written, written[-3:])


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_off_by_a_little, "has"),
        (lambda scores: scores[:-1], "3 of 4 events"),
        (lambda scores: [scores[0], *scores], "out of turn"),
        (lambda scores: [scores[3], scores[0], *scores[4:]], "out of turn"),
        (lambda scores: [*scores, Score("stranger", 1.0, 1, 1)], "unknown"),
        (lambda scores: [each for each in scores if each.lead != "lead-1"], "missing"),
    ],
    ids=["score", "lost", "twice", "order", "stranger", "lead"],
)
def test_wrong_results_are_noticed(
    spoil: Callable[[list[Score]], list[Score]], told: str
) -> None:
    """A wrong, lost, doubled, misplaced or invented output is told."""
    right = _records(_written())
    with pytest.raises(WrongResultError, match=told):
        _prove(_records(spoil(_written())), right)


def test_a_stale_changelog_is_noticed() -> None:
    """A state that lacks a lead's last event is told, though the outputs are right."""
    right = _records(_written())
    with pytest.raises(WrongResultError, match="changelog: lead-2 has 3 of 4 events"):
        _prove(right, right[:-1])


def test_an_unreadable_output_is_noticed() -> None:
    """Bytes that are no score are told, not skipped."""
    right = _records(_written())
    with pytest.raises(WrongResultError, match="cannot be read"):
        _prove([*right, (b"lead-0", b"{")], right)
