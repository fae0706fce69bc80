"""The metrics of a role, served on a port of its own from a thread of its own."""

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib.metadata import version
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import disable_created_metrics, make_wsgi_app

from streams.access import Access, AccessDeniedError
from streams.errors import PortUnusableError
from streams.metrics import BUILD_INFO
from streams.settings import Settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

_ALIVE: Final[Mapping[str, "Probe"]] = {"/healthz": lambda: None}
"""What answers is alive, where a role has no better way to tell."""
_STATUS: Final = {401: "401 Unauthorized", 403: "403 Forbidden"}
_REFUSED: Final = [
    ("Content-Type", "text/plain; charset=utf-8"),
    ("WWW-Authenticate", "Bearer"),
]
Probe = Callable[[], str | None]
"""Answers None when all is well, else says what is not."""


def start_metrics_server(
    settings: Settings, role: str, *, probes: Mapping[str, Probe] | None = None
) -> int:
    """Serve `/metrics` until the process ends; return the port.

    Where there are access tokens, metrics need one. Each of `probes` is a path that
    answers 200 when all is well and 503 otherwise, to anybody.

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
            _application({**_ALIVE, **(probes or {})}, Access(settings.access_tokens)),
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


def _application(probes: Mapping[str, Probe], access: Access) -> Any:
    metrics = make_wsgi_app()

    def answer(
        environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        # A role that knows no trouble of its own is well as long as it answers.
        probe = probes.get(path, _well if path in _PROBES else None)
        if probe is None:
            try:
                shown = environ.get("HTTP_AUTHORIZATION")
                access.admit(shown, "viewer", surface="metrics")
            except AccessDeniedError as error:
                start_response(_STATUS[error.status], _REFUSED)
                return [f"{error}\n".encode()]
            return cast("Iterable[bytes]", metrics(environ, start_response))
        trouble = probe()
        status = "200 OK" if trouble is None else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{trouble or 'ok'}\n".encode()]

    return answer


_PROBES: Final = ("/healthz", "/readyz")


def _well() -> str | None:
    return None


class _Server(ThreadingMixIn, WSGIServer):
    """One slow scraper must not hold up a probe."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    """Keeps scrapes out of the log, and nobody who says nothing."""

    timeout = 10.0
    """Seconds between two bytes."""
    patience = 30.0
    """Seconds for all of a request and its answer, byte by byte or not."""

    def handle(self) -> None:
        """Answer one request, unless it does not come."""
        limit = threading.Timer(self.patience, self._let_go)
        limit.daemon = True
        limit.start()
        try:
            with suppress(TimeoutError, ConnectionError):
                super().handle()
        finally:
            limit.cancel()

    def _let_go(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        """Say nothing."""
