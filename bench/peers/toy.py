"""The toy work that every contender does, and how a contender is told what to do.

An event of a lead adds points to a score that halves every week. Nothing here needs
more than msgspec: peers run it in environments of their own.
"""

import sys
from typing import ClassVar, Final

import msgspec

HALF_LIFE_MS: Final = 7 * 24 * 3_600_000
COMMIT_SECONDS: Final = 1.0
"""How often each contender commits or checkpoints: no default of its own."""


class Event(msgspec.Struct, gc=False):
    """One event: what it is worth is in it already. Further fields are ignored."""

    lead: str
    at: int
    points: float


class Score(msgspec.Struct, gc=False):
    """What is published after each event, and kept as the state."""

    lead: str
    score: float
    at: int
    count: int
    wake_at: ClassVar[None] = None
    """It is never to be looked at by itself: ours would ask."""


class Job(msgspec.Struct, kw_only=True):
    """What one contender does in one run."""

    bootstrap: str
    group: str
    """Consumer group or application id, of this run alone."""
    partitions: int
    input: str
    output: str
    changelog: str
    """Where those write it who do so themselves."""
    directory: str
    """For state on disk; empty at the start."""


decode_event: Final = msgspec.json.Decoder(Event).decode
decode_score: Final = msgspec.json.Decoder(Score).decode
encode: Final = msgspec.json.Encoder().encode


def scored(lead: str, before: Score | None, at: int, points: float) -> Score:
    """Return the score after an event."""
    if before is None:
        return Score(lead, points, at, 1)
    decay: float = 2.0 ** ((before.at - at) / HALF_LIFE_MS)
    return Score(lead, before.score * decay + points, at, before.count + 1)


def given_job() -> Job:
    """Return the job that this process was started with."""
    return msgspec.json.decode(sys.argv[1], type=Job)
