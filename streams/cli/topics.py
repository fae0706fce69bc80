"""`leadpulse topics`: make the topics, and check them against their definition."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streams.topics_admin import TopicReport

app = typer.Typer(
    help="Make the topics, and check them against their definition.",
    no_args_is_help=True,
)


@app.command()
def create() -> None:
    """Make the topics that are missing; leave the others as they are."""
    from streams.settings import load_settings
    from streams.topics_admin import create_topics

    _show(create_topics(load_settings()))


@app.command()
def check() -> None:
    """Check every topic; leave with 1 when one is missing or wrong."""
    from streams.settings import load_settings
    from streams.topics_admin import check_topics

    _show(check_topics(load_settings()))


@app.command()
def strimzi(
    cluster: Annotated[
        str, typer.Option(help="Name of the Kafka resource they belong to.")
    ] = "leadpulse",
) -> None:
    """Print every topic as a KafkaTopic of Strimzi, for `kubectl apply -f -`.

    Partitions, replicas, prefix and retention are those of LEADPULSE_*.
    """
    import yaml

    from streams.settings import load_settings
    from streams.topics_admin import strimzi_topics

    documents = strimzi_topics(load_settings(), cluster)
    typer.echo(yaml.safe_dump_all(documents, sort_keys=False), nl=False)


def _show(reports: "list[TopicReport]") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(box=None, pad_edge=False)
    for heading in ("topic", "state", "partitions", "policy", "compaction lag"):
        table.add_column(heading, no_wrap=heading != "state")
    for report in reports:
        config = dict(report.config)
        table.add_row(
            report.name,
            _COLOURED[report.state],
            "" if report.partitions is None else str(report.partitions),
            _told(config, "cleanup.policy"),
            _span(_told(config, "min.compaction.lag.ms")),
        )
    console.print(table)
    silent = sorted({key for report in reports for key in report.unknown})
    if silent:
        console.print(
            f"unknown: this broker does not report {', '.join(silent)}; not checked",
            style="yellow",
        )
    failed = [report for report in reports if report.problems]
    for report in failed:
        for problem in report.problems:
            typer.echo(f"leadpulse: {report.name}: {problem}", err=True)
    if failed:
        raise typer.Exit(1)


_COLOURED = {
    "ok": "[green]ok[/]",
    "created": "[green]created[/]",
    "missing": "[red]missing[/]",
    "wrong": "[red]wrong[/]",
}


def _told(config: dict[str, str | None], key: str) -> str:
    if key not in config:
        return ""
    return config[key] or "unknown"


def _span(millis: str) -> str:
    if not millis.isdigit():
        return millis
    hours = int(millis) / 3_600_000
    return f"{hours / 24:g} d" if hours >= 24 else f"{hours:g} h"  # noqa: PLR2004
