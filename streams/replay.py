"""Replay of a file of events through the core: scores, updates, alerts as JSON lines.

The arithmetic is the worker's own (`scorers.replay`); here are only the file in, the
files out and the progress.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import IO, Final

import msgspec

from schemas.event import Event
from schemas.score import Identifiers, Reason, Tier
from schemas.time import Instant, to_datetime
from scorers.accounts import AccountStep
from scorers.compiled import CompiledModel
from scorers.notice import identifiers_of
from scorers.replay import Replay, Told
from scorers.step import Step
from scorers.versions import Versions
from streams.errors import UserError
from streams.event_files import EventFile

_encode: Final = msgspec.json.Encoder().encode


class OutputError(UserError):
    """A file cannot be written; the text says which and why."""


class LeadScore(msgspec.Struct, frozen=True, kw_only=True):
    """A lead's final score: one line of ``--scores``."""

    lead_id: str
    score: float
    tier: Tier
    grade: str
    groups: dict[str, float]
    reasons: tuple[Reason, ...]
    identifiers: Identifiers
    as_of: datetime
    next_change_at: datetime | None


class Outputs(msgspec.Struct, frozen=True, kw_only=True):
    """Which files to write; None for none."""

    scores: Path | None = None
    updates: Path | None = None
    alerts: Path | None = None
    accounts: Path | None = None


class Tally(msgspec.Struct):
    """What a replay came to."""

    scored: int = 0
    duplicates: int = 0
    updates: int = 0
    alerts: Counter[str] = msgspec.field(default_factory=Counter)
    scores: list[LeadScore] = []
    """Every lead, the highest score first."""
    accounts: int = 0


def replay_file(
    model: CompiledModel | Callable[[str], Versions],
    events: EventFile,
    outputs: Outputs,
    *,
    at: Instant | None,
    report: Callable[[int], None] = lambda _: None,
    unlinked: frozenset[str] = frozenset(),
    known_as: Callable[[Event], Event | None] | None = None,
) -> Tally:
    """Replay checked `events` until `at` and write the outputs asked for.

    With several versions of a model each applies from when it was in force.

    Events received after `at` are left out; without it the last receipt is the
    end. `report` is told how many events are done. Leads in `unlinked` never become
    part of another one; `known_as` spells identifiers as this deployment does, and
    says None of events that it must not know.

    Raises
    ------
    OutputError
        When an output cannot be written.
    """
    tally = Tally()
    # Only who wants what is told needs leads woken in between (`scorers.replay`).
    told = (outputs.updates, outputs.alerts, outputs.accounts)
    wake = any(path is not None for path in told)
    replay = Replay(model, wake=wake, unlinked=unlinked)
    known = events.in_order_of_receipt()
    if known_as is not None:
        known = (event for each in known if (event := known_as(each)) is not None)
    with ExitStack() as stack:
        updates = _sink(stack, outputs.updates)
        alerts = _sink(stack, outputs.alerts)
        accounts = _sink(stack, outputs.accounts)
        scores = _sink(stack, outputs.scores)
        for step in _steps(replay, known, at, tally, report):
            publish = updates
            if isinstance(step, AccountStep):
                publish = accounts
            else:
                tally.updates += len(step.updates)
            tally.alerts.update(alert.kind for alert in step.alerts)
            for update in step.updates:
                publish(update)
            for alert in step.alerts:
                alerts(alert)
        tally.scores = _scores(replay)
        tally.accounts = len(replay.accounts)
        for score in tally.scores:
            scores(score)
    return tally


def _steps(
    replay: Replay,
    events: Iterator[Event],
    at: Instant | None,
    tally: Tally,
    report: Callable[[int], None],
) -> Iterator[Told]:
    end: Instant = 0
    done = 0
    for done, event in enumerate(events, start=1):
        if at is not None and event.now > at:
            break
        end = event.now
        outcome = ""
        for step in replay.take(event):
            if isinstance(step, Step) and step.outcome in {"scored", "duplicate"}:
                outcome = step.outcome  # the last one is the event's own
            yield step
        if outcome == "duplicate":
            tally.duplicates += 1
        else:
            tally.scored += 1
        if done % 256 == 0:
            report(done)
    report(done)
    yield from replay.until(end if at is None else at)


def _scores(replay: Replay) -> list[LeadScore]:
    scores = [
        LeadScore(
            lead_id=reading.lead_id,
            score=reading.score,
            tier=reading.tier,
            grade=reading.grade,
            groups=reading.groups,
            reasons=reading.reasons,
            identifiers=identifiers_of(state),
            as_of=to_datetime(reading.as_of),
            next_change_at=(
                None
                if reading.next_change_at is None
                else to_datetime(reading.next_change_at)
            ),
        )
        for state, reading in replay.readings()
    ]
    return sorted(scores, key=lambda lead: (-lead.score, lead.lead_id))


def _sink(stack: ExitStack, path: Path | None) -> Callable[[object], None]:
    """Return what writes one JSON line to `path`, or nothing for None."""
    if path is None:
        return lambda _: None
    try:
        out: IO[bytes] = stack.enter_context(path.open("wb"))
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror}"
        raise OutputError(msg) from None

    def write(value: object) -> None:
        out.write(_encode(value) + b"\n")

    return write
