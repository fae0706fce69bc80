"""What every route of the collector shares: the body, the log of events, the answer."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from schemas.dead_letter import DeadLetter
from schemas.event import Event
from schemas.time import Instant, to_datetime
from schemas.topics import DEAD_LETTERS as DEAD_LETTERS_TOPIC
from scorers.identity import derive_lead_id
from streams.clock import Clock
from streams.collector.auth import WriteKeys
from streams.collector.body import read_body
from streams.collector.client_address import stamped
from streams.collector.gate import Limits
from streams.collector.rates import Rates
from streams.collector.verdict import Refused, RefusedError
from streams.event_log import (
    EventLog,
    NotDurableError,
    Record,
    event_record,
)
from streams.identifying import identified, known_bytes
from streams.metrics import (
    COLLECTOR_EVENTS,
    COLLECTOR_IN_PROGRESS,
    COLLECTOR_REQUESTS,
    COLLECTOR_SECONDS,
    DEAD_LETTERS,
)
from streams.settings import Settings
from streams.suppressions import Suppressions
from streams.tracing import HEADER_TRACEPARENT, Span, current_trace, exemplar, span_from

BODY_SECONDS: Final = 30.0
"""How long a client may take to send a body."""

_UNREAD: Final = (408, 413)
"""Answers after which the rest of the body is not read."""
_log: Final = structlog.get_logger("collector")
_encode: Final = msgspec.json.Encoder().encode


class Answer(msgspec.Struct, kw_only=True):
    """An answer in the making, and what the log line will say of the request."""

    route: str
    request_id: str
    status: int = 200
    body: dict[str, object] = {}
    headers: dict[str, str] = {}
    source: str | None = None
    size: int = 0
    accepted: int = 0
    refused: dict[str, int] = {}
    ignored: dict[str, int] = {}
    """What was passed over, by its type; short names of senders who have a key."""
    received: float | None = None
    """When the last byte was in, by the monotonic clock."""
    content: bytes | None = None
    """What is sent in place of `body`, if a client expects something else."""
    content_type: str = "application/json"
    dress: Callable[["Answer", RefusedError], None] | None = None
    """Puts a refusal of the whole request as the client expects it."""


Take = Callable[[Request, Answer], Awaitable[None]]


class Intake:
    """Takes requests in: how much, then durable, then the answer."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        event_log: EventLog,
        suppressions: Suppressions | None = None,
    ) -> None:
        """Take in what `settings` allow, by `clock`, into `event_log`.

        Nothing is kept of who is on the list of `suppressions`.
        """
        self._suppressions = suppressions or Suppressions(settings)
        self.keys = WriteKeys(settings.write_keys)
        self.rates = Rates(settings.rate_limit)
        self.limits = Limits(
            event_bytes=settings.max_event_bytes,
            batch_events=settings.max_batch_events,
        )
        self.clock = clock
        self._body_bytes = settings.max_body_bytes
        self._prefix = settings.topic_prefix
        self.client_ip = settings.client_ip
        self._dead_letters = settings.topic(DEAD_LETTERS_TOPIC.name)
        self._event_log = event_log
        self._known_as = identified(settings)
        self._hidden = known_bytes(settings)

    def endpoint(
        self, route: str, take: Take
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return what answers on `route`, a template, whatever `take` meets."""

        async def settle(request: Request, answer: Answer, span: Span) -> None:
            try:
                await take(request, answer)
            except RefusedError as refused:
                answer.status = refused.status
                answer.body = error_body(
                    refused.reason, refused.detail, refused.position
                )
                answer.headers = {**answer.headers, **refused.headers}
                if refused.status in _UNREAD:
                    answer.headers["Connection"] = "close"
                if answer.dress is not None:
                    answer.dress(answer, refused)
            except NotDurableError as failure:
                _log.warning("not durable", id=answer.request_id, why=str(failure))
                answer.status = 503
                answer.body = error_body("not-durable", "not stored; send it again")
                answer.headers = {"Retry-After": str(failure.retry_seconds)}
            except ClientDisconnect:
                answer.status = 499  # nobody is left to read it; for log and metrics
            except Exception:  # noqa: BLE001 - answered and logged, never shown
                _log.exception("bug", id=answer.request_id, route=route)
                answer.status = 500
                answer.body = error_body("bug", "this is our fault; it has been logged")
            span.note(request=answer.request_id, accepted=answer.accepted)
            if answer.status >= 500:  # noqa: PLR2004 - ours, not the sender's
                span.fail(str(answer.status))

        async def answer_to(request: Request) -> Response:
            answer = Answer(route=route, request_id=secrets.token_hex(8))
            started = time.perf_counter()
            came_with = [(HEADER_TRACEPARENT, request.headers.get(HEADER_TRACEPARENT))]
            with span_from(
                came_with, f"{request.method} {route}", kind="server"
            ) as span:
                COLLECTOR_IN_PROGRESS.inc()
                try:
                    await settle(request, answer, span)
                finally:
                    COLLECTOR_IN_PROGRESS.dec()
                return _finished(answer, started)

        return answer_to

    async def body(self, request: Request, answer: Answer) -> bytes:
        """Return the whole body, unzipped.

        Raises
        ------
        RefusedError
            When it is too large, too slow, or cannot be unzipped.
        """
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await read_body(
                    request.stream(),
                    declared=request.headers.get("content-length"),
                    encoding=request.headers.get("content-encoding"),
                    limit=self._body_bytes,
                )
        except TimeoutError:
            msg = f"the body did not arrive within {BODY_SECONDS:g} s"
            raise RefusedError(408, "too-slow", msg) from None
        answer.received = time.perf_counter()
        answer.size = len(body)
        return body

    async def store(
        self,
        request: Request,
        answer: Answer,
        *,
        source: str,
        events: Sequence[Event],
        refused: Sequence[Refused],
        now: Instant,
    ) -> None:
        """Return when the events, and the refused as dead letters, are durable.

        Raises
        ------
        NotDurableError
            When any may not be.
        """
        events = stamped(events, request, self.client_ip)
        records = self._records(events, refused, now)
        try:
            await self._event_log.append(records)
        except NotDurableError:
            COLLECTOR_EVENTS.labels(source, "not-durable").inc(len(records))
            raise
        answer.accepted = len(events)
        answer.refused = _counted(source, len(events), refused)

    async def append(self, records: Sequence[Record]) -> None:
        """Return when records that are no events are durable.

        Raises
        ------
        NotDurableError
            When any may not be.
        """
        await self._event_log.append(records)

    def _records(
        self,
        events: Sequence[Event],
        refused: Sequence[Refused],
        now: Instant,
    ) -> list[Record]:
        """Return what goes on the topics."""
        trace = current_trace()
        traceparent = None if trace is None else str(trace)
        records = []
        for given in map(self._known_as, events):
            event = self._suppressions.screen(given)
            if event is None:  # the answer tells nobody of an erasure
                COLLECTOR_EVENTS.labels(given.source, "suppressed").inc()
                continue
            lead_id = derive_lead_id(event)
            assert lead_id is not None  # noqa: S101 - the adapter drops the illegal
            records.append(
                event_record(
                    event, lead_id, prefix=self._prefix, traceparent=traceparent
                )
            )
        at = to_datetime(now)
        for one in refused:
            letter = DeadLetter(
                stage="collector",
                reason=one.rejection.reason,
                detail=one.rejection.detail,
                topic="",
                partition=-1,
                offset=-1,
                at=at,
            )
            headers = [*letter.headers()]
            if traceparent is not None:
                headers.append((HEADER_TRACEPARENT, traceparent.encode()))
            records.append(
                Record(self._dead_letters, None, self._hidden(one.raw), headers)
            )
        return records


def _counted(source: str, accepted: int, refused: Sequence[Refused]) -> dict[str, int]:
    """Count the verdicts; return how many were refused for which reason."""
    if accepted:
        COLLECTOR_EVENTS.labels(source, "accepted").inc(accepted)
    reasons = Counter[str](one.rejection.reason for one in refused)
    for reason, count in reasons.items():
        COLLECTOR_EVENTS.labels(source, reason).inc(count)
        DEAD_LETTERS.labels("collector", reason).inc(count)
    return dict(reasons)


def verdict_body(refused: Refused) -> dict[str, object]:
    """Return what a client is told of one message that was not taken."""
    rejection = refused.rejection
    return {
        "index": refused.index,
        "messageId": rejection.message_id,
        "reason": rejection.reason,
        "detail": rejection.detail,
    }


def error_body(
    reason: str, detail: str, position: int | None = None
) -> dict[str, object]:
    """Return what a client is told of a request that is refused as a whole."""
    error: dict[str, object] = {"reason": reason, "detail": detail}
    if position is not None:
        error["position"] = position
    return {"success": False, "error": error}


def _finished(answer: Answer, started: float) -> Response:
    """Return the response, counted and logged on one line."""
    ended = time.perf_counter()
    COLLECTOR_REQUESTS.labels(answer.route, str(answer.status)).inc()
    if answer.received is not None:
        COLLECTOR_SECONDS.observe(ended - answer.received, exemplar(current_trace()))
    _log.info(
        "request",
        id=answer.request_id,
        route=answer.route,
        status=answer.status,
        source=answer.source,
        bytes=answer.size,
        accepted=answer.accepted,
        rejected=answer.refused,
        ignored=answer.ignored,
        ms=round((ended - started) * 1000, 2),
    )
    headers = {"X-Request-Id": answer.request_id, **answer.headers}
    if answer.content is not None:
        return Response(answer.content, answer.status, headers, answer.content_type)
    body = answer.body
    if answer.status >= 400:  # noqa: PLR2004 - an error names itself
        body = {**body, "request_id": answer.request_id}
    return json_response(answer.status, body, headers)


def json_response(
    status: int, body: object, headers: dict[str, str] | None = None
) -> Response:
    """Return `body` as JSON."""
    return Response(_encode(body), status, headers, "application/json")
