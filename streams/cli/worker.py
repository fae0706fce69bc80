"""`leadpulse worker`: score events."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def worker(
    *,
    bootstrap: Annotated[
        str | None, typer.Option(help="Kafka bootstrap servers, host:port[,…].")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model file; the shipped model if not given.")
    ] = None,
    worker_id: Annotated[
        str | None,
        typer.Option(help="Name that outlives a restart (static membership)."),
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Prometheus port; 0 picks a free one.")
    ] = None,
) -> None:
    """Keep one score per lead from the events on the topics, until SIGTERM.

    Serves /metrics, /healthz and /readyz. Every other setting comes from LEADPULSE_*.
    """
    from streams.logs import configure_logging
    from streams.settings import load_settings
    from streams.tracing import configure_tracing
    from streams.worker import run_worker

    settings = load_settings(
        bootstrap=bootstrap,
        model_path=model,
        worker_id=worker_id,
        metrics_port=metrics_port,
    )
    configure_logging(settings, "worker")
    configure_tracing(settings, "worker")
    run_worker(settings)
