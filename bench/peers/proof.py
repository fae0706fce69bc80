"""Whether a contender has counted every event once and got every score right."""

import math
from collections.abc import Callable, Iterable, Mapping

import msgspec

from bench.peers.toy import Event, Score, decode_score, scored

TOLERANCE = 1e-9
"""Java's and C's power functions may differ in the last bits."""
_SHOWN = 5

Pair = tuple[bytes, bytes | None]
"""A record's key and value."""
DecodeChange = Callable[[bytes, bytes], Score | None]
"""Returns the score in a changelog record; None if it holds none."""


class WrongResultError(Exception):
    """What a contender has written is not what follows from the input."""


def fold(events: Iterable[Event]) -> dict[str, Score]:
    """Return the final score of every lead, computed straight from the events."""
    scores: dict[str, Score] = {}
    for event in events:
        before = scores.get(event.lead)
        scores[event.lead] = scored(event.lead, before, event.at, event.points)
    return scores


def prove(
    expected: Mapping[str, Score],
    outputs: Iterable[Pair],
    changes: Iterable[Pair],
    decode_change: DecodeChange,
) -> None:
    """Return if the outputs and the changelog are what follows from the input.

    Every event has one output, in the order of its lead, and the last record of each
    lead is its final score, on both topics.

    Raises
    ------
    WrongResultError
        When they are not, with the first differences.
    """
    problems: list[str] = []
    published: dict[str, Score] = {}
    for _, value in outputs:
        score = _decoded(value, problems)
        if score is None:
            continue
        before = published.get(score.lead)
        if score.count != (before.count if before else 0) + 1:
            problems.append(f"output {score.count} of {score.lead} is out of turn")
        published[score.lead] = score
    kept: dict[str, Score] = {}
    for key, value in changes:
        if value is not None and (change := decode_change(key, value)) is not None:
            kept[change.lead] = change
    for what, found in (("output", published), ("changelog", kept)):
        problems += _differences(what, expected, found)
    if problems:
        shown = "".join(f"\n  {problem}" for problem in problems[:_SHOWN])
        msg = f"{len(problems)} differences from the input:{shown}"
        raise WrongResultError(msg)


def _decoded(value: bytes | None, problems: list[str]) -> Score | None:
    try:
        return decode_score(value or b"")
    except msgspec.DecodeError as error:
        problems.append(f"an output cannot be read: {error}")
        return None


def _differences(
    what: str, expected: Mapping[str, Score], found: Mapping[str, Score]
) -> list[str]:
    problems = [
        f"{what} of {lead}, who is unknown" for lead in found.keys() - expected.keys()
    ]
    for lead, right in expected.items():
        score = found.get(lead)
        if score is None:
            problems.append(f"{what} of {lead} is missing")
        elif score.count != right.count:
            problems.append(f"{what}: {lead} has {score.count} of {right.count} events")
        elif not math.isclose(score.score, right.score, rel_tol=TOLERANCE):
            problems.append(f"{what}: {lead} has {score.score}, not {right.score}")
    return problems
