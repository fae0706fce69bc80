"""The web app, composed of its endpoints."""

import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.errors import UserError
from streams.web.access import Door
from streams.web.api.operations import watch_of
from streams.web.endpoint import Endpoint
from streams.web.live import Live
from streams.web.openapi import DESCRIBED
from streams.web.reading.leads import Leads
from streams.web.reading.models import Models
from streams.web.registry import ENDPOINTS, NAVIGATION
from streams.web.serving import HEADERS, Serving
from streams.web.sources import Sources
from streams.web.templating import Templates
from streams.web.work import Work


def endpoints() -> tuple[Endpoint, ...]:
    """Return every endpoint there is, each with the least role that may ask."""
    return (*ENDPOINTS, DESCRIBED)


def create_web(sources: Sources) -> Starlette:
    """Return the application over `sources`.

    Raises
    ------
    OpenToAllError
        Where there are no tokens and others than this machine could ask.
    """
    door = Door(sources.settings)
    templates = Templates(NAVIGATION)
    serving = Serving(sources, door, templates)
    live = sources.one(Live)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sources.one(watch_of)  # what Operations shows has begun before anybody looks
        # The first to come shall not wait for what is read once.
        threading.Thread(target=_warm, args=(sources,), daemon=True).start()
        try:
            async with live.following():
                yield
        finally:
            await sources.one(Work).close()
            await run_in_threadpool(sources.let_go)

    return Starlette(
        routes=[
            *serving.routes(endpoints()),
            Mount(templates.files.url, templates.files),
        ],
        middleware=[
            Middleware(_Headed, headers=HEADERS),
            Middleware(GZipMiddleware, minimum_size=1_000, compresslevel=5),
        ],
        exception_handlers={HTTPException: serving.problem},
        lifespan=lifespan,
    )


def _warm(sources: Sources) -> None:
    with suppress(UserError):
        sources.one(Models).in_force()
        sources.one(Leads).owners()


class _Headed:
    """Puts headers on every answer that has not its own."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    given.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, headed)
