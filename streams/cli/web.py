"""`leadpulse web`: the app that sales and managers keep open, and its API."""

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def web(
    *,
    host: Annotated[str | None, typer.Option(help="Address to bind to.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port of the pages; 0 picks a free one [8090].")
    ] = None,
    redis: Annotated[str | None, typer.Option(help="URL of the view's Redis.")] = None,
    bootstrap: Annotated[
        str | None, typer.Option(help="Kafka bootstrap servers, host:port[,…].")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Prometheus port; 0 picks a free one.")
    ] = None,
) -> None:
    """Serve the web app and its API, until stopped.

    Serves /metrics, /healthz and /readyz on a port of their own. Every other setting
    comes from LEADPULSE_* (docs/web.md).
    """
    from streams.logs import configure_logging
    from streams.settings import load_settings
    from streams.tracing import configure_tracing
    from streams.web.server import run_web

    settings = load_settings(
        host=host,
        web_port=port,
        redis_url=redis,
        bootstrap=bootstrap,
        metrics_port=metrics_port,
    )
    configure_logging(settings, "web")
    configure_tracing(settings, "web")
    run_web(settings)
