"""How the pipeline runs, and another try at dead letters."""

import asyncio
from typing import Annotated, Final

import msgspec
import structlog

from schemas.time import Instant
from streams.access import least_token
from streams.dead_letter_log import Letter, choose, latest_letters, put_back
from streams.web.asking import Ask
from streams.web.endpoint import API, Endpoint
from streams.web.problems import ProblemError
from streams.web.reading.operations import OperationsReport, Watch
from streams.web.sources import Sources

_log = structlog.get_logger(__name__)


class Letters(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters."""

    reason: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 30


class LetterRow(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter; of the record itself only its own id and size."""

    at: Instant
    stage: str
    reason: str
    detail: str
    attempts: int
    topic: str
    partition: int
    offset: int
    record: str


class LetterList(msgspec.Struct, frozen=True, kw_only=True):
    """The newest dead letters, the newest first."""

    letters: tuple[LetterRow, ...]


class Replay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters go back to their topics, oldest first."""

    reason: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1_000
    dry_run: bool = False


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What went back, or would, and what was left alone and why."""

    put_back: int
    left: dict[str, int]
    dry_run: bool


def watch_of(sources: Sources) -> Watch:
    """Return the one watch over the roles, begun; use it by `Sources.one`."""
    settings = sources.settings
    token = least_token(settings.access_tokens)
    watch = Watch(settings.web_metrics, sources.clock.now, token=token)
    watch.start()
    return watch


def operations(ask: Ask) -> OperationsReport:
    """Return how the pipeline runs."""
    report = ask.sources.one(watch_of).wait()
    if report is None:
        text = "no role's metrics are known: set LEADPULSE_WEB_METRICS"
        raise ProblemError(404, "no-metrics", text)
    return report


def dead_letters(ask: Ask) -> LetterList:
    """Return the newest dead letters."""
    wanted = ask.query(Letters)
    found = latest_letters(
        ask.sources.settings, limit=wanted.limit, reason=wanted.reason
    )
    return LetterList(letters=tuple(map(_row, found)))


def replay(ask: Ask) -> Replayed:
    """Put dead letters back where they came from."""
    wanted = ask.body(Replay)
    settings = ask.sources.settings
    left, records = choose(settings, reason=wanted.reason, limit=wanted.limit)
    if records and not wanted.dry_run:
        asyncio.run(put_back(settings, records))
        _log.info("dead_letters_put_back", records=len(records), by=ask.who)
    return Replayed(
        put_back=len(records),
        left={str(why): count for why, count in left.items()},
        dry_run=wanted.dry_run,
    )


def _row(letter: Letter) -> LetterRow:
    story = letter.story
    return LetterRow(
        at=letter.at,
        stage=story.stage,
        reason=story.reason,
        detail=story.detail.partition("\n")[0][:200],
        attempts=story.attempts,
        topic=story.topic,
        partition=story.partition,
        offset=story.offset,
        record=letter.preview,
    )


ENDPOINTS: Final = (
    Endpoint(
        path=f"{API}/operations",
        take=operations,
        least="viewer",
        summary="Lag, rates, latency, machine traffic: what the roles' metrics say.",
        answer=OperationsReport,
    ),
    Endpoint(
        path=f"{API}/dead-letters",
        take=dead_letters,
        least="admin",
        summary="The newest dead letters and why they died.",
        query=Letters,
        answer=LetterList,
    ),
    Endpoint(
        path=f"{API}/dead-letters/replay",
        take=replay,
        least="admin",
        method="POST",
        summary="Put dead letters back on their topics.",
        body=Replay,
        answer=Replayed,
    ),
)
