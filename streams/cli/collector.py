"""`leadpulse collector`: take events in over HTTP."""

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def collector(
    *,
    bootstrap: Annotated[
        str | None, typer.Option(help="Kafka bootstrap servers, host:port[,…].")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to bind to.")] = None,
    port: Annotated[
        int | None, typer.Option(help="HTTP port; 0 picks a free one.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Prometheus port; 0 picks a free one.")
    ] = None,
) -> None:
    """Take events in over Segment's HTTP API; answer when Kafka has them.

    Needs LEADPULSE_WRITE_KEYS. Every other setting comes from LEADPULSE_* too.
    """
    from streams.collector.server import run_collector
    from streams.logs import configure_logging
    from streams.settings import load_settings
    from streams.tracing import configure_tracing

    settings = load_settings(
        bootstrap=bootstrap, host=host, collector_port=port, metrics_port=metrics_port
    )
    configure_logging(settings, "collector")
    configure_tracing(settings, "collector")
    run_collector(settings)
