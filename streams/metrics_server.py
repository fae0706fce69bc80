"""The metrics of a role, served on a port of its own from a thread of its own."""

from importlib.metadata import version

from prometheus_client import start_http_server

from streams.errors import PortUnusableError
from streams.metrics import BUILD_INFO
from streams.settings import Settings


def start_metrics_server(settings: Settings, role: str) -> int:
    """Serve `/metrics` until the process ends; return the port.

    Raises
    ------
    PortUnusableError
        When the port is taken; the text says which and what changes it.
    """
    BUILD_INFO.labels(version("leadpulse"), role).set(1)
    try:
        server, _ = start_http_server(settings.metrics_port, settings.host)
    except OSError as error:
        raise PortUnusableError(
            host=settings.host,
            port=settings.metrics_port,
            purpose="metrics",
            setting="LEADPULSE_METRICS_PORT",
            error=error,
        ) from None
    return server.server_port
