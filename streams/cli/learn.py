"""`leadpulse learn`: the training log, kept from the topics and written to a file."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.evaluate import Horizon

app = typer.Typer(
    help="Keep and export what is learnt from leads.", no_args_is_help=True
)


@app.command()
def follow(
    *,
    once: Annotated[
        bool,
        typer.Option("--once", help="Read to where the topics end now, and leave."),
    ] = False,
    metrics_port: Annotated[
        int | None, typer.Option(help="Prometheus port; 0 picks a free one.")
    ] = None,
) -> None:
    """Keep the training log: how leads stood when something was decided, and fared.

    Reads score updates, alerts and the CRM's events, and writes a record for each lead
    to lead.training.v1. Started again, it goes on where it was. Serves /metrics,
    /healthz and /readyz unless it is to leave.
    """
    import asyncio
    import signal
    import threading

    from rich.console import Console

    from schemas.topics import TRAINING
    from streams.event_log import opened_log
    from streams.learning.following import Following
    from streams.logs import configure_logging
    from streams.metrics_server import start_metrics_server
    from streams.settings import load_settings
    from streams.topics_admin import check_topics

    settings, console = load_settings(metrics_port=metrics_port), Console(stderr=True)
    configure_logging(settings, "learning")
    check_topics(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    async def work() -> int:
        async with opened_log(settings, name="learning", topics=(TRAINING,)) as log:
            following = Following(settings, log)
            if not once:
                probes = {"/readyz": following.not_ready}
                start_metrics_server(settings, "learning", probes=probes)
            with console.status("following") as status:
                return await following.run(
                    stop=stop,
                    once=once,
                    report=lambda read, written: status.update(
                        f"{read:,} messages read, {written:,} records written"
                    ),
                )

    typer.echo(f"{asyncio.run(work()):,} training records written", err=True)


@app.command()
def export(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.parquet", help="Where to write it.")
    ],
    *,
    horizon: Horizon = None,
) -> None:
    """Write the training log as Parquet: a row for each decision.

    `leadpulse calibrate FILE.parquet --model MODEL` learns from it.
    """
    from streams.learning.needs import need_learning

    need_learning()
    from scorers.training import examples_of
    from streams.cli.evaluate import duration
    from streams.learning.following import last_of, read_training
    from streams.learning.parquet import write_examples
    from streams.settings import load_settings

    records = read_training(load_settings()).values()
    until = last_of(records)
    examples = list(examples_of(records, until, duration(horizon)))
    write_examples(file, examples, until)
    decided = sum(each.verdict is not None for each in examples)
    typer.echo(
        f"{len(examples):,} decisions on {len(records):,} leads, {decided:,} with an "
        f"outcome, written to {file}"
    )


@app.command()
def report(
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder to write into; LEADPULSE_REPORTS_DIR if absent."),
    ] = None,
    months: Annotated[int, typer.Option(min=1, max=24, help="How far ahead.")] = 3,
) -> None:
    """Forecast what open deals will bring, from the training log as it is now.

    Writes training.forecast.html and .json; the web app shows the latest forecast of
    its reports folder. Run it once a day.
    """
    from streams.learning.needs import need_learning

    need_learning()
    from scorers.training import examples_of
    from streams.learning.following import last_of, read_training
    from streams.learning.forecast_page import about_money, forecast_page, foretold
    from streams.learning.pages import write_report
    from streams.model_files import read_model
    from streams.settings import load_settings

    settings = load_settings()
    records = read_training(settings).values()
    until = last_of(records)
    found = foretold(
        "training",
        list(examples_of(records, until)),
        until,
        value=read_model(settings.model_path).value,
        months=months,
    )
    path = write_report(
        out or settings.reports_folder,
        "training.forecast",
        forecast_page("the training log", found),
        found,
    )
    told = found.forecast
    for sentence in about_money(found):
        typer.echo(sentence, err=True)
    typer.echo(
        f"{told.open:,} open deals, {told.total.value:,.0f} {told.currency} expected "
        f"in {months} months; report: {path}"
    )
