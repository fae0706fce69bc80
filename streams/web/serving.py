"""From declared endpoints to routes: who may, how often, and what went wrong."""

import asyncio
import hashlib
import inspect
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec
import structlog
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from streams.access import AccessDeniedError, Holder
from streams.errors import UserError
from streams.metrics import WEB_REQUEST_SECONDS, WEB_REQUESTS
from streams.view import ViewAwayError
from streams.web.access import SESSION_COOKIE, Door
from streams.web.asking import Ask
from streams.web.endpoint import Endpoint
from streams.web.problems import ProblemError
from streams.web.sources import Sources
from streams.web.taste import taste_of
from streams.web.templating import Templates

_LARGEST_BODY: Final = 256_000
BODY_SECONDS: Final = 10.0
"""How long a body may take to arrive."""
_POLICY: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)
HEADERS: Final = {
    "Content-Security-Policy": "; ".join(_POLICY),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""On every answer."""

_log = structlog.get_logger(__name__)
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class Serving:
    """Answers requests by endpoints."""

    def __init__(self, sources: Sources, door: Door, templates: Templates) -> None:
        """Let in whom `door` does, as often as the settings say."""
        self._sources = sources
        self._door = door
        self._templates = templates
        limit = sources.settings.web_rate_limit
        self._limit = parse(limit) if limit else None
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def routes(self, endpoints: Sequence[Endpoint]) -> list[Route]:
        """Return a route for each endpoint."""
        return [
            Route(each.path, self._answering(each), methods=[each.method])
            for each in endpoints
        ]

    async def problem(self, request: Request, error: Exception) -> Response:
        """Return the answer to what no endpoint answers."""
        status = getattr(error, "status_code", 500)
        kinds = {404: "not-found", 405: "no-such-method"}
        text = "there is nothing here" if status == 404 else "it cannot be answered"  # noqa: PLR2004
        WEB_REQUESTS.labels("other", str(status)).inc()
        found = ProblemError(status, kinds.get(status, "failed"), text)
        return self._told(request, found, None, request.url.path.startswith("/api/"))

    def _answering(
        self, endpoint: Endpoint
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            began = time.perf_counter()
            holder: Holder | None = None
            try:
                holder = self._admit(endpoint, request)
                response = await self._taken(endpoint, request, holder)
            except ProblemError as error:
                response = self._told(request, error, holder, endpoint.is_api)
            except AccessDeniedError as error:
                response = self._turned_away(endpoint, request, error, holder)
            except ViewAwayError as error:
                away = ProblemError(503, "view-away", str(error), {"Retry-After": "2"})
                response = self._told(request, away, holder, endpoint.is_api)
            except UserError as error:
                cannot = ProblemError(409, "not-possible", str(error))
                response = self._told(request, cannot, holder, endpoint.is_api)
            except Exception:  # noqa: BLE001 - one request never breaks the others
                _log.exception("request_failed", path=endpoint.path)
                failed = ProblemError(500, "failed", "it is in the log")
                response = self._told(request, failed, holder, endpoint.is_api)
            WEB_REQUESTS.labels(endpoint.path, str(response.status_code)).inc()
            WEB_REQUEST_SECONDS.labels(endpoint.path).observe(
                time.perf_counter() - began
            )
            return response

        return answer

    def _admit(self, endpoint: Endpoint, request: Request) -> Holder | None:
        client = "" if request.client is None else request.client.host
        try:
            holder = self._door.admit(
                endpoint.least,
                method=request.method,
                headers=request.headers,
                session=request.cookies.get(SESSION_COOKIE),
            )
        except AccessDeniedError:
            self._slow_down(client)  # who guesses may not guess faster
            raise
        self._slow_down(client if holder is None else holder.name)
        return holder

    def _slow_down(self, who: str) -> None:
        if self._limit is not None and not self._limiter.hit(self._limit, who):
            stats = self._limiter.get_window_stats(self._limit, who)
            wait = max(1, math.ceil(stats.reset_time - time.time()))
            text = f"more than {self._limit}; see LEADPULSE_WEB_RATE_LIMIT"
            raise ProblemError(429, "too-many", text, {"Retry-After": str(wait)})

    async def _taken(
        self, endpoint: Endpoint, request: Request, holder: Holder | None
    ) -> Response:
        content = b""
        if endpoint.method == "POST":
            content = await _body(request)
        ask = self._ask(request, holder, content)
        if inspect.iscoroutinefunction(endpoint.take):
            found = await endpoint.take(ask)
        else:
            found = await run_in_threadpool(endpoint.take, ask)
        if isinstance(found, Response):
            found.headers.setdefault("Cache-Control", "private, no-cache")
            return found
        return _as_json(request, found)

    def _ask(self, request: Request, holder: Holder | None, content: bytes) -> Ask:
        return Ask(
            request,
            self._sources,
            self._templates,
            holder=holder,
            is_open=self._door.access.is_open,
            taste=taste_of(
                request.cookies,
                request.query_params.get("lang"),
                request.headers.get("accept-language", ""),
            ),
            content=content,
        )

    def _turned_away(
        self,
        endpoint: Endpoint,
        request: Request,
        error: AccessDeniedError,
        holder: Holder | None,
    ) -> Response:
        if not endpoint.is_api and error.status == 401 and request.method == "GET":  # noqa: PLR2004
            asked = request.url.path
            if request.url.query:
                asked += f"?{request.url.query}"
            return RedirectResponse(f"/sign-in?next={quote(asked, safe='')}", 303)
        kind = "unknown" if error.status == 401 else "role"  # noqa: PLR2004
        headers = {"WWW-Authenticate": "Bearer"} if kind == "unknown" else {}
        refused = ProblemError(error.status, kind, str(error), headers)
        return self._told(request, refused, holder, endpoint.is_api)

    def _told(
        self,
        request: Request,
        error: ProblemError,
        holder: Holder | None,
        is_api: bool,  # noqa: FBT001 - of our own
    ) -> Response:
        if is_api or "text/html" not in request.headers.get("accept", ""):
            return error.answer()
        known = holder or self._door.holder_of(request.cookies.get(SESSION_COOKIE))
        ask = self._ask(request, known, b"")
        key = f"problem.{error.status}"
        page = ask.page(
            "problem.html",
            title=ask.writing.t("problem.title"),
            status=error.status,
            said=ask.writing.t(key if ask.writing.has(key) else "problem.other"),
            error=error,
        )
        page.headers["Cache-Control"] = "no-store"
        return page


async def _body(request: Request) -> bytes:
    """Return the body, no more of it than anything asked here needs, and in time."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > _LARGEST_BODY:
                    text = f"at most {_LARGEST_BODY} bytes"
                    raise ProblemError(413, "too-large", text)
                parts.append(part)
    except TimeoutError:
        text = f"the body did not arrive within {BODY_SECONDS:g} s"
        raise ProblemError(408, "too-slow", text, {"Connection": "close"}) from None
    return b"".join(parts)


def _as_json(request: Request, found: Any) -> Response:
    """Return `found` as JSON, or that it is what the program has already."""
    content = _encode(found)
    tag = f'W/"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    known = request.headers.get("if-none-match", "")
    if request.method == "GET" and tag in (each.strip() for each in known.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)
