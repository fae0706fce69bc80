"""The collector's HTTP application: Segment's API in front of the event log.

An answer of 2xx means that Kafka has every accepted event. Anything that is not
certain is 503, and the client's repeat carries the same ids.
"""

import asyncio
import re
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.dead_letter import DeadLetter
from schemas.event import Event
from schemas.time import Instant, to_datetime
from schemas.topics import DEAD_LETTERS as DEAD_LETTERS_TOPIC
from scorers.identity import derive_lead_id, untagged
from streams.clock import Clock
from streams.collector.adapters.segment import Call
from streams.collector.auth import WriteKeys, key_in_header
from streams.collector.body import read_body
from streams.collector.gate import (
    Limits,
    Refused,
    Sorted,
    open_batch,
    open_single,
    sort,
)
from streams.collector.verdict import RefusedError, Rejection
from streams.event_log import (
    HEADER_TRACEPARENT,
    EventLog,
    Headers,
    NotDurableError,
    Record,
    event_record,
)
from streams.metrics import (
    COLLECTOR_EVENTS,
    COLLECTOR_REQUESTS,
    COLLECTOR_SECONDS,
    DEAD_LETTERS,
)
from streams.settings import Settings

ROUTES: Final[dict[str, Call | None]] = {
    "/v1/track": "track",
    "/v1/t": "track",
    "/v1/identify": "identify",
    "/v1/i": "identify",
    "/v1/page": "page",
    "/v1/p": "page",
    "/v1/screen": "screen",
    "/v1/s": "screen",
    "/v1/group": "group",
    "/v1/g": "group",
    "/v1/alias": "alias",
    "/v1/a": "alias",
    "/v1/batch": None,
    "/v1/b": None,
}
"""Segment's paths, the browser's short ones too; None is a batch of any calls."""

BODY_SECONDS: Final = 30.0
"""How long a client may take to send a body."""

_RETRY_SECONDS: Final = "1"
_PREFLIGHT_SECONDS: Final = 86_400
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
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
    received: float | None = None
    """When the last byte was in, by the monotonic clock."""


def create_app(settings: Settings, clock: Clock, event_log: EventLog) -> Starlette:
    """Return the application; it closes `event_log` when it shuts down."""
    intake = _Intake(settings, clock, event_log)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await event_log.close()

    return Starlette(
        routes=[
            *(Route(path, intake.endpoint(path), methods=["POST"]) for path in ROUTES),
            Route("/healthz", _healthz),
            Route("/readyz", _readyz(event_log)),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["POST"],
                allow_headers=["*"],
                expose_headers=["X-Request-Id", "Retry-After"],
                max_age=_PREFLIGHT_SECONDS,
            )
        ],
        exception_handlers={HTTPException: _no_such_route},
        lifespan=lifespan,
    )


class _Intake:
    """Takes requests in: who, how much, what, then durable, then the answer."""

    def __init__(self, settings: Settings, clock: Clock, event_log: EventLog) -> None:
        self._keys = WriteKeys(settings.write_keys)
        self._limits = Limits(
            event_bytes=settings.max_event_bytes,
            batch_events=settings.max_batch_events,
        )
        self._body_bytes = settings.max_body_bytes
        self._prefix = settings.topic_prefix
        self._dead_letters = settings.topic(DEAD_LETTERS_TOPIC.name)
        self._known_as = untagged if settings.ignore_plus_tags else _as_it_is
        self._clock = clock
        self._event_log = event_log

    def endpoint(self, path: str) -> Callable[[Request], Awaitable[Response]]:
        """Return what answers on `path`, whatever happens."""

        async def answer_to(request: Request) -> Response:
            answer = Answer(route=path, request_id=secrets.token_hex(8))
            started = time.perf_counter()
            try:
                await self._take(request, answer)
            except RefusedError as refused:
                answer.status = refused.status
                answer.body = _error(refused.reason, refused.detail, refused.position)
                if refused.status == 413:  # noqa: PLR2004 - the rest is not read
                    answer.headers = {"Connection": "close"}
            except NotDurableError as failure:
                _log.warning("not durable", id=answer.request_id, why=str(failure))
                answer.status = 503
                answer.body = _error("not-durable", "not stored; send it again")
                answer.headers = {"Retry-After": _RETRY_SECONDS}
            except ClientDisconnect:
                answer.status = 499  # nobody is left to read it; for log and metrics
            except Exception:  # noqa: BLE001 - answered and logged, never shown
                _log.exception("bug", id=answer.request_id, route=path)
                answer.status = 500
                answer.body = _error("bug", "this is our fault; it has been logged")
            return _finished(answer, started)

        return answer_to

    async def _take(self, request: Request, answer: Answer) -> None:
        key = key_in_header(request.headers.get("authorization"))
        if key is not None:
            answer.source = self._keys.source_of(key)
        body = await self._body(request)
        answer.received = time.perf_counter()
        answer.size = len(body)
        call = ROUTES[answer.route]
        parcel = open_batch(body) if call is None else open_single(body)
        if answer.source is None:
            answer.source = self._keys.source_of(parcel.write_key)
        now = self._clock.now()
        taken = sort(
            parcel, call=call, source=answer.source, limits=self._limits, now=now
        )
        traceparent = _traceparent(request)
        records, accepted, refused = self._records(taken, now, traceparent)
        try:
            await self._event_log.append(records)
        except NotDurableError:
            COLLECTOR_EVENTS.labels(answer.source, "not-durable").inc(len(records))
            raise
        answer.accepted = accepted
        answer.refused = _counted(answer.source, accepted, refused)
        # A request of which nothing could be taken is the sender's mistake.
        answer.status = 400 if refused and not accepted else 200
        answer.body = {
            "success": answer.status == 200,  # noqa: PLR2004 - set just above
            "accepted": accepted,
            "rejected": [_verdict(one) for one in refused],
        }

    async def _body(self, request: Request) -> bytes:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await read_body(
                    request.stream(),
                    declared=request.headers.get("content-length"),
                    encoding=request.headers.get("content-encoding"),
                    limit=self._body_bytes,
                )
        except TimeoutError:
            msg = f"the body did not arrive within {BODY_SECONDS:g} s"
            raise RefusedError(408, "too-slow", msg) from None

    def _records(
        self, taken: Sorted, now: Instant, traceparent: str | None
    ) -> tuple[list[Record], int, list[Refused]]:
        """Return what goes on the topics, how many are events, and the refused."""
        records = []
        refused = taken.refused
        for event in map(self._known_as, taken.events):
            lead_id = derive_lead_id(event)
            assert lead_id is not None  # noqa: S101 - the adapter drops the illegal
            records.append(
                event_record(
                    event, lead_id, prefix=self._prefix, traceparent=traceparent
                )
            )
        accepted = len(records)
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
            headers: Headers = [*letter.headers()]
            if traceparent is not None:
                headers.append((HEADER_TRACEPARENT, traceparent.encode()))
            records.append(Record(self._dead_letters, None, one.raw, headers))
        return records, accepted, refused


def _as_it_is(event: Event) -> Event:
    return event


def _counted(source: str, accepted: int, refused: list[Refused]) -> dict[str, int]:
    """Count the verdicts; return how many were refused for which reason."""
    if accepted:
        COLLECTOR_EVENTS.labels(source, "accepted").inc(accepted)
    reasons = Counter[str](one.rejection.reason for one in refused)
    for reason, count in reasons.items():
        COLLECTOR_EVENTS.labels(source, reason).inc(count)
        DEAD_LETTERS.labels("collector", reason).inc(count)
    return dict(reasons)


def _verdict(refused: Refused) -> dict[str, object]:
    rejection: Rejection = refused.rejection
    return {
        "index": refused.index,
        "messageId": rejection.message_id,
        "reason": rejection.reason,
        "detail": rejection.detail,
    }


def _error(reason: str, detail: str, position: int | None = None) -> dict[str, object]:
    error: dict[str, object] = {"reason": reason, "detail": detail}
    if position is not None:
        error["position"] = position
    return {"success": False, "error": error}


def _finished(answer: Answer, started: float) -> Response:
    """Return the response, counted and logged on one line."""
    ended = time.perf_counter()
    COLLECTOR_REQUESTS.labels(answer.route, str(answer.status)).inc()
    if answer.received is not None:
        COLLECTOR_SECONDS.observe(ended - answer.received)
    _log.info(
        "request",
        id=answer.request_id,
        route=answer.route,
        status=answer.status,
        source=answer.source,
        bytes=answer.size,
        accepted=answer.accepted,
        rejected=answer.refused,
        ms=round((ended - started) * 1000, 2),
    )
    headers = {"X-Request-Id": answer.request_id, **answer.headers}
    body = answer.body
    if answer.status >= 400:  # noqa: PLR2004 - an error names itself
        body = {**body, "request_id": answer.request_id}
    return _json(answer.status, body, headers)


def _json(status: int, body: object, headers: dict[str, str] | None = None) -> Response:
    return Response(_encode(body), status, headers, "application/json")


def _traceparent(request: Request) -> str | None:
    given = request.headers.get("traceparent")
    return given if given is not None and _TRACEPARENT.fullmatch(given) else None


async def _healthz(_: Request) -> Response:
    return _json(200, {"status": "alive"})


def _readyz(event_log: EventLog) -> Callable[[Request], Awaitable[Response]]:
    async def readyz(_: Request) -> Response:
        try:
            missing = await event_log.missing_topics()
        except NotDurableError as failure:
            return _json(503, {"status": "not ready", "kafka": str(failure)})
        if missing:
            return _json(503, {"status": "not ready", "missing_topics": missing})
        return _json(200, {"status": "ready"})

    return readyz


async def _no_such_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    COLLECTOR_REQUESTS.labels("other", str(status)).inc()
    detail = {
        404: f"there is nothing here; POST to one of {', '.join(ROUTES)}",
        405: f"{request.method} is not answered here",
    }.get(status, "this request cannot be answered")
    headers = dict(getattr(error, "headers", None) or {})
    return _json(status, _error("no-such-route", detail), headers)
