"""`leadpulse view`: carry scores, alerts and events into the view."""

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def view(
    *,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Drop the view first, fill it anew.")
    ] = False,
    bootstrap: Annotated[
        str | None, typer.Option(help="Kafka bootstrap servers, host:port[,…].")
    ] = None,
    redis: Annotated[str | None, typer.Option(help="URL of the view's Redis.")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Prometheus port; 0 picks a free one.")
    ] = None,
) -> None:
    """Keep the Redis view up to date from the topics, until stopped.

    Serves /metrics (the broker's and every group's lag too), /healthz and /readyz.
    Every other setting comes from LEADPULSE_*.
    """
    import signal
    import threading

    from streams.broker_watch import watch_broker
    from streams.clock import SystemClock
    from streams.logs import configure_logging
    from streams.metrics_server import start_metrics_server
    from streams.redis_access import redis_address
    from streams.settings import load_settings
    from streams.tracing import configure_tracing
    from streams.view import connect_view
    from streams.view_feed import ViewFeed

    settings = load_settings(
        bootstrap=bootstrap, redis_url=redis, metrics_port=metrics_port
    )
    configure_logging(settings, "view")
    configure_tracing(settings, "view")
    known = connect_view(redis_address(settings), prefix=settings.topic_prefix)
    if rebuild:
        known.drop()
    stop = threading.Event()
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, lambda *_: stop.set())
    feed = ViewFeed(settings, known, SystemClock())
    start_metrics_server(
        settings, "view", probes={"/healthz": feed.stuck, "/readyz": feed.not_ready}
    )
    watch_broker(settings, stop)
    feed.run(stop)
