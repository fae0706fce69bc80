"""The collector's HTTP application: Segment's API and the registry's other sources.

An answer of 2xx means that Kafka has every accepted event, or the spool while Kafka is
away. Anything that is not certain is 503, and the client's repeat carries the same ids.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streams.clock import Clock
from streams.collector.adapters.mapped import check_names, mapped_provider
from streams.collector.adapters.provider import Provider
from streams.collector.adapters.registry import GUARDS, PROVIDERS
from streams.collector.adapters.segment import Call
from streams.collector.auth import key_in_header
from streams.collector.fetching import Get, get_https
from streams.collector.gate import open_batch, open_single, sort
from streams.collector.hooks import Hooks
from streams.collector.intake import (
    Answer,
    Intake,
    Take,
    error_body,
    json_response,
    verdict_body,
)
from streams.collector.mail_links import link_routes
from streams.collector.mapping.files import load_mappings
from streams.collector.openapi import (
    OPENAPI_PATH,
    Document,
    document,
    openapi_endpoint,
)
from streams.collector.snippet import SNIPPET_PATH, snippet_endpoint
from streams.collector.spooling import SpooledEventLog
from streams.collector.work_links import work_routes
from streams.metrics import COLLECTOR_REQUESTS
from streams.settings import Settings
from streams.suppressions import Suppressions

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

_PREFLIGHT_SECONDS: Final = 86_400


def create_app(
    settings: Settings,
    clock: Clock,
    event_log: SpooledEventLog,
    get: Get = get_https,
    suppressions: Suppressions | None = None,
) -> Starlette:
    """Return the application; it closes `event_log` when it shuts down.

    `get` gets what a provider publishes for its signatures to be checked. Nothing is
    kept of who is on the list of `suppressions`.
    """
    intake = Intake(settings, clock, event_log, suppressions)
    anybody = "*" in settings.cors_origins
    providers = all_providers(settings)
    hooks = Hooks(settings, intake, get, providers)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        event_log.start()
        yield
        await event_log.close()

    return Starlette(
        routes=[
            *(
                Route(
                    path,
                    intake.endpoint(path, _segment(intake, call)),
                    methods=["POST"],
                )
                for path, call in ROUTES.items()
            ),
            *(
                Route(
                    path,
                    intake.endpoint(path, hooks.take_for(provider)),
                    methods=list(provider.methods),
                )
                for provider in providers
                for path in provider.routes
            ),
            *link_routes(settings, intake),
            *work_routes(settings, intake),
            Route(SNIPPET_PATH, snippet_endpoint()),
            Route(OPENAPI_PATH, openapi_endpoint(describe(settings, providers))),
            Route("/healthz", _healthz),
            Route("/readyz", _readyz(event_log)),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                # Browsers that send credentials want their own origin named, not `*`.
                # No cookie is read here, so anybody may be named.
                allow_origins=() if anybody else settings.cors_origins,
                allow_origin_regex=".*" if anybody else None,
                allow_credentials=True,
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=["X-Request-Id", "Retry-After"],
                max_age=_PREFLIGHT_SECONDS,
            )
        ],
        exception_handlers={HTTPException: _no_such_route},
        lifespan=lifespan,
    )


def all_providers(settings: Settings) -> list[Provider]:
    """Return the registry's providers, and those that mappings describe.

    Raises
    ------
    MappingFileError
        When a mapping cannot be used, or has the name of another provider.
    """
    mappings = load_mappings(settings.mappings_dir)
    check_names(mappings, (provider.name for provider in PROVIDERS))
    return [
        *PROVIDERS,
        *(mapped_provider(each, GUARDS.get(name)) for name, each in mappings.items()),
    ]


def describe(settings: Settings, providers: Sequence[Provider]) -> Document:
    """Return the OpenAPI document of the application with these providers."""
    return document(
        version=version("leadpulse"),
        calls=ROUTES,
        providers=providers,
        links=bool(settings.link_secrets),
    )


def _segment(intake: Intake, call: Call | None) -> Take:
    """Return what takes in a route of Segment's; without a call it is a batch."""

    async def take(request: Request, answer: Answer) -> None:
        key = key_in_header(request.headers.get("authorization"))
        if key is not None:
            answer.source = intake.keys.source_of(key)
            intake.rates.admit(answer.source)
        body = await intake.body(request, answer)
        parcel = open_batch(body) if call is None else open_single(body)
        if answer.source is None:
            answer.source = intake.keys.source_of(parcel.write_key)
            intake.rates.admit(answer.source)
        now = intake.clock.now()
        taken = sort(
            parcel, call=call, source=answer.source, limits=intake.limits, now=now
        )
        await intake.store(
            request,
            answer,
            source=answer.source,
            events=taken.events,
            refused=taken.refused,
            now=now,
        )
        # A request of which nothing could be taken is the sender's mistake.
        answer.status = 400 if taken.refused and not taken.events else 200
        answer.body = {
            "success": answer.status == 200,  # noqa: PLR2004 - set just above
            "accepted": len(taken.events),
            "rejected": [verdict_body(one) for one in taken.refused],
        }

    return take


async def _healthz(_: Request) -> Response:
    return json_response(200, {"status": "alive"})


def _readyz(
    event_log: SpooledEventLog,
) -> Callable[[Request], Awaitable[Response]]:
    async def readyz(_: Request) -> Response:
        standing = await event_log.standing()
        return json_response(200 if standing.takes_events else 503, standing)

    return readyz


async def _no_such_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    COLLECTOR_REQUESTS.labels("other", str(status)).inc()
    detail = {
        404: "there is nothing here; POST to /v1/track, /v1/batch or "
        "/v1/webhooks/PROVIDER; docs/sources.md has all of them",
        405: f"{request.method} is not answered here",
    }.get(status, "this request cannot be answered")
    headers = dict(getattr(error, "headers", None) or {})
    return json_response(status, error_body("no-such-route", detail), headers)
