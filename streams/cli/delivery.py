"""`leadpulse delivery`: carry scores, alerts and events into the view."""

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def delivery(
    *,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Drop the view first, fill it anew.")
    ] = False,
) -> None:
    """Keep the Redis view up to date from the topics, until stopped."""
    import signal
    import threading

    from streams.delivery import run_delivery
    from streams.logs import configure_logging
    from streams.metrics_server import start_metrics_server
    from streams.settings import load_settings
    from streams.view import connect_view

    settings = load_settings()
    configure_logging(settings, "delivery")
    url = settings.redis_url.get_secret_value()
    view = connect_view(url, prefix=settings.topic_prefix)
    if rebuild:
        view.drop()
    stop = threading.Event()
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, lambda *_: stop.set())
    start_metrics_server(settings, "delivery")
    run_delivery(settings, view, stop)
