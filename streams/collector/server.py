"""The collector as a process: one port for events, one for metrics."""

import math
import signal
import socket
import threading

import structlog
import uvicorn

from streams.collector.app import create_app
from streams.collector.fetching import Get, get_https
from streams.collector.spooling import SpooledEventLog
from streams.errors import UserError
from streams.event_log import KafkaEventLog
from streams.listening import listen
from streams.metrics import COLLECTOR_REQUESTS
from streams.metrics_server import start_metrics_server
from streams.settings import Settings
from streams.slow_clients import ImpatientProtocol
from streams.spool import Spool
from streams.suppression_feed import follow_suppressions
from streams.suppressions import Suppressions

_log = structlog.get_logger("collector")
_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75
"""Longer than the load balancers in front, so that they close first."""


class NoWriteKeysError(UserError):
    """There is no key, so nobody could send."""

    exit_code = 2

    def __init__(self) -> None:
        """Say what to set."""
        super().__init__(
            "no write keys: set LEADPULSE_WRITE_KEYS=source=key[,source=key] "
            "(or LEADPULSE_WRITE_KEYS_FILE), e.g. website=$(openssl rand -hex 16)"
        )


def run_collector(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; then finish what is under way, flush, return.

    Raises
    ------
    UserError
        Without write keys, or when a port is taken: one line that says what to do.
    """
    listener = bind(settings)
    metrics_port = start_metrics_server(settings, "collector")
    server = create_server(settings)
    _log.info(
        "listening",
        url=f"http://{settings.host}:{listener.getsockname()[1]}",
        metrics=f"http://{settings.host}:{metrics_port}/metrics",
        sources=sorted(settings.write_keys),
        bootstrap=settings.bootstrap,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again once it is done: a clean stop is no failure.
        signal.signal(number, server.handle_exit)
    server.run(sockets=[listener])


def bind(settings: Settings) -> socket.socket:
    """Return the listening socket of the collector; port 0 has picked a free one.

    Raises
    ------
    NoWriteKeysError
        When no write key is set.
    PortUnusableError
        When something else listens there, or the address is not ours.
    """
    if not settings.write_keys:
        raise NoWriteKeysError
    return listen(
        settings.host,
        settings.collector_port,
        backlog=_BACKLOG,
        purpose="events",
        setting="LEADPULSE_COLLECTOR_PORT",
    )


def create_server(settings: Settings, get: Get = get_https) -> uvicorn.Server:
    """Return the HTTP server, ready to run on sockets given to it.

    `get` gets what a provider publishes for its signatures to be checked.

    Raises
    ------
    SpoolUnusableError
        When the spool cannot be opened.
    """
    suppressions = Suppressions(settings)
    # It ends with the process: nothing of it has to be finished.
    follow_suppressions(settings, suppressions, threading.Event())
    app = create_app(
        settings,
        settings.clock(),
        _event_log(settings),
        get,
        suppressions=suppressions,
    )
    return uvicorn.Server(
        uvicorn.Config(
            app,
            loop="uvloop",
            http=_Protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies or None,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            # Nothing under way takes longer than Kafka may.
            timeout_graceful_shutdown=math.ceil(settings.produce_timeout_seconds) + 1,
        )
    )


class _Protocol(ImpatientProtocol):
    """Tells what it refuses as the collector does."""

    def note_refusal(self, status: int, reason: str) -> None:
        COLLECTOR_REQUESTS.labels("other", str(status)).inc()
        _log.info("request", route="other", status=status, reason=reason)


def _event_log(settings: Settings) -> SpooledEventLog:
    limit = settings.spool_max_bytes
    spool = Spool(settings.data_dir, limit=limit) if limit else None
    return SpooledEventLog(
        KafkaEventLog(settings, name="collector"),
        spool,
        settings.clock(),
        patience=settings.spool_after_seconds,
    )
