"""`leadpulse verify`: the topics prove that nothing was lost or counted twice."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from streams.proof import Report

app = typer.Typer()

_SHOWN: int = 100


@app.command()
def verify(
    *,
    model: Annotated[
        Path | None,
        typer.Option(
            help="The workers' model file; LEADPULSE_MODEL_PATH if absent. Published "
            "versions are found by themselves."
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON.")
    ] = False,
) -> None:
    """Read every topic once and prove ledgers, sequences, alerts, states and replay.

    Joins no group and writes nothing: run it beside a system that works, or on one
    that was stopped. Leaves with 1 when anything is not as it must be.
    """
    import msgspec
    from rich.console import Console

    from streams.cli.replay import progress_on
    from streams.model_files import read_model
    from streams.settings import load_settings
    from streams.verify import verify as prove

    settings = load_settings(model_path=model)
    compiled = read_model(settings.model_path)
    with progress_on(Console(stderr=True)) as progress:
        task = progress.add_task("reading", total=None)

        def tell(done: int, partitions: int, records: int) -> None:
            told = f"{records:,} records, partitions"
            progress.update(task, completed=done, total=partitions, description=told)

        report = prove(settings, compiled, progress=tell)
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report.as_data())))
    else:
        _print(report)
    if not report.clean:
        raise typer.Exit(1)


def _print(report: "Report") -> None:
    from rich.console import Console

    from streams.proof import LEFT_OUT

    for finding in report.findings[:_SHOWN]:
        typer.echo(str(finding))
    if (more := report.against.total() - _SHOWN) > 0:
        typer.echo(f"and {more:,} more; --json has up to 1,000 of them")
    console = Console(highlight=False)
    console.print(_table(report))
    for subject, reasons in report.untold.items():
        for why, count in sorted(reasons.items()):
            line = f"not told, {subject}: {count:,} × {why}"
            console.print(line, style="dim", markup=False, soft_wrap=True)
    for what, why in LEFT_OUT.items():
        console.print(f"not looked at: {what} ({why})", style="dim", soft_wrap=True)
    verdict = "proved" if report.clean else f"{report.against.total():,} findings"
    told = f"{report.records:,} records, {report.leads:,} leads: {verdict}"
    console.print(told, soft_wrap=True)


def _table(report: "Report") -> "Table":
    from rich.table import Table

    from streams.proof import PROMISES

    table = Table(box=None, pad_edge=False)
    table.add_column("promise")
    for heading in ("proved", "against", "not told"):
        table.add_column(heading, justify="right")
    for subject, promise in PROMISES.items():
        against = report.against[subject]
        untold = report.untold.get(subject)
        table.add_row(
            f"{subject}: {promise}",
            f"{report.proved[subject]:,}",
            f"[red]{against:,}[/]" if against else "0",
            f"{0 if untold is None else untold.total():,}",
        )
    return table
