"""The web app as a process: one port for pages and the API, one for metrics."""

import signal
import socket

import structlog
import uvicorn

from streams.listening import listen
from streams.metrics import WEB_REQUESTS
from streams.metrics_server import start_metrics_server
from streams.redis_access import redis_address
from streams.settings import Settings
from streams.slow_clients import ImpatientProtocol
from streams.view import View, ViewAwayError, connect_view
from streams.web.app import create_web
from streams.web.live import Live
from streams.web.sources import Sources

_BACKLOG = 1024
_GRACE_SECONDS = 3
"""A browser's open stream is no reason to stay."""


def run_web(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises
    ------
    UserError
        When the pages would be open to all, or a port is taken.
    """
    view = connect_view(redis_address(settings), prefix=settings.topic_prefix)
    server = create_server(Sources(settings, view, settings.clock()))
    listener = bind(settings)
    metrics_port = start_metrics_server(
        settings, "web", probes={"/readyz": lambda: _trouble(view)}
    )
    structlog.get_logger("web").info(
        "listening",
        url=f"http://{settings.host}:{listener.getsockname()[1]}",
        metrics=f"http://{settings.host}:{metrics_port}/metrics",
        holders=sorted(settings.access_tokens),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    server.run(sockets=[listener])


def bind(settings: Settings) -> socket.socket:
    """Return the listening socket of the app; port 0 has picked a free one.

    Raises
    ------
    PortUnusableError
        When something else listens there, or the address is not ours.
    """
    return listen(
        settings.host,
        settings.web_port,
        backlog=_BACKLOG,
        purpose="pages",
        setting="LEADPULSE_WEB_PORT",
    )


def create_server(sources: Sources) -> uvicorn.Server:
    """Return the HTTP server, ready to run on sockets given to it.

    Raises
    ------
    OpenToAllError
        Where there are no tokens and others than this machine could ask.
    """
    settings = sources.settings
    return _Server(
        sources.one(Live),
        uvicorn.Config(
            create_web(sources),
            loop="uvloop",
            http=_Protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies or None,
            # Nothing is cut short that could still be finished.
            timeout_graceful_shutdown=_GRACE_SECONDS,
        ),
    )


class _Protocol(ImpatientProtocol):
    """Counts what it refuses as the app does."""

    def note_refusal(self, status: int, reason: str) -> None:  # noqa: ARG002 - its own
        WEB_REQUESTS.labels("other", str(status)).inc()


class _Server(uvicorn.Server):
    """Ends the streams first: they are what would go on for ever."""

    def __init__(self, live: Live, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._live = live

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._live.end()
        await super().shutdown(sockets)


def _trouble(view: View) -> str | None:
    """Return why pages cannot be shown just now, None if they can."""
    try:
        view.tiers(("none",))
    except ViewAwayError as error:
        return str(error)
    return None
