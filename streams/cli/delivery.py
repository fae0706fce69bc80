"""`leadpulse delivery`: tell people of alerts, as the delivery file says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.printing import print_schema

if TYPE_CHECKING:
    from streams.settings import Settings

app = typer.Typer(
    help="Tell people of alerts: Slack, mail, Teams, webhooks, PagerDuty, terminal."
)

DeliveryPath = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE",
        help="A delivery file; the one in force if absent.",
        show_default=False,
    ),
]


@app.callback(invoke_without_command=True)
def delivery(
    context: typer.Context,
    *,
    bootstrap: Annotated[
        str | None, typer.Option(help="Kafka bootstrap servers, host:port[,…].")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Prometheus port; 0 picks a free one.")
    ] = None,
) -> None:
    """Tell people of alerts as the delivery file says, until stopped.

    LEADPULSE_DELIVERY_PATH names the file. Every other setting comes from LEADPULSE_*.
    """
    if context.invoked_subcommand is not None:
        return
    import signal
    import threading

    from streams.delivery.app import DeliveryApp
    from streams.delivery.files import read_delivery
    from streams.logs import configure_logging
    from streams.metrics_server import start_metrics_server
    from streams.settings import load_settings
    from streams.tracing import configure_tracing

    settings = load_settings(bootstrap=bootstrap, metrics_port=metrics_port)
    stop = threading.Event()
    delivery_app = DeliveryApp(settings, read_delivery(settings), stop)
    configure_logging(settings, "delivery")
    configure_tracing(settings, "delivery")
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, lambda *_: stop.set())
    start_metrics_server(settings, "delivery", probes={"/readyz": delivery_app.trouble})
    delivery_app.run()


@app.command()
def check(file: DeliveryPath = None) -> None:
    """Say whether a delivery file is right; leave with 1 when it is not."""
    from scorers.loading import ModelError
    from streams.delivery.building import build_notifier
    from streams.delivery.files import load_delivery, missing_secrets
    from streams.errors import UserError
    from streams.model_files import read_text
    from streams.settings import load_settings

    settings = load_settings(delivery_path=file)
    path = _path(settings)
    try:
        found = load_delivery(read_text(path), str(path))
    except ModelError as error:
        for problem in error.problems:
            typer.echo(f"{problem}\n", err=True)
        raise typer.Exit(1) from None
    typer.echo(
        f"{path}: {len(found.targets)} targets, {len(found.routes)} routes, "
        f"{len(found.people)} people"
    )
    lines = missing_secrets(found, settings)
    for name, target in found.targets.items():
        if not any(f" {name} needs" in line for line in lines):
            try:
                build_notifier(name, target, settings)
            except UserError as error:
                lines.append(f"target {name}: {error}")
    for line in lines:
        typer.echo(line, err=True)
    if lines:
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Write the JSON Schema of delivery files, for editors."""
    from streams.delivery.files import json_schema

    print_schema(json_schema())


def _path(settings: "Settings") -> Path:
    from streams.delivery.files import shipped_file

    return settings.delivery_path or shipped_file()
