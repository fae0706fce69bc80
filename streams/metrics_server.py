"""The metrics of a role, served on a port of its own from a thread of its own."""

import threading
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import disable_created_metrics, make_wsgi_app

from streams.errors import PortUnusableError
from streams.metrics import BUILD_INFO
from streams.settings import Settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

Probe = Callable[[], str | None]
"""Answers None when all is well, else says what is not."""


def start_metrics_server(
    settings: Settings, role: str, *, probes: Mapping[str, Probe] | None = None
) -> int:
    """Serve `/metrics` until the process ends; return the port.

    Each of `probes` is a path that answers 200 when all is well and 503 otherwise.

    Raises
    ------
    PortUnusableError
        When the port is taken; the text says which and what changes it.
    """
    BUILD_INFO.labels(version("leadpulse"), role).set(1)
    # When each child of a metric was made tells nobody anything, and costs a series.
    disable_created_metrics()  # type: ignore[no-untyped-call] # the client's
    try:
        server = make_server(
            settings.host,
            settings.metrics_port,
            _application(probes or {}),
            server_class=_Server,
            handler_class=_Handler,
        )
    except OSError as error:
        raise PortUnusableError(
            host=settings.host,
            port=settings.metrics_port,
            purpose="metrics",
            setting="LEADPULSE_METRICS_PORT",
            error=error,
        ) from None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server.server_port


def _application(probes: Mapping[str, Probe]) -> Any:
    metrics = make_wsgi_app()

    def answer(
        environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        probe = probes.get(environ.get("PATH_INFO", ""))
        if probe is None:
            return cast("Iterable[bytes]", metrics(environ, start_response))
        trouble = probe()
        status = "200 OK" if trouble is None else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{trouble or 'ok'}\n".encode()]

    return answer


class _Server(ThreadingMixIn, WSGIServer):
    """One slow scraper must not hold up a probe."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    """Keeps scrapes out of the log."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        """Say nothing."""
