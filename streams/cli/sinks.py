"""`leadpulse sinks`: scores in the CRMs that sales works with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.printing import print_schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from streams.settings import Settings
    from streams.sinks.files import SinkFileError
    from streams.sinks.language import Sink
    from streams.sinks.rows import Row

app = typer.Typer(
    help="Write scores into HubSpot, Salesforce, Pipedrive, Odoo or by webhook.",
    no_args_is_help=True,
)

SinkName = Annotated[
    str,
    typer.Argument(
        metavar="SINK",
        help="A sink's name, of those in LEADPULSE_SINKS_DIR, or its file (*.yaml).",
        show_default=False,
    ),
]
Bootstrap = Annotated[
    str | None, typer.Option(help="Kafka bootstrap servers, host:port[,…].")
]

_SHOWN: int = 20


@app.command("list")
def list_sinks() -> None:
    """List the sinks of LEADPULSE_SINKS_DIR."""
    from rich.console import Console
    from rich.table import Table

    from streams.settings import load_settings
    from streams.sinks.files import load_sinks

    table = Table("sink", "kind", "records", "where", "fields", box=None)
    for sink in load_sinks(load_settings()):
        count = str(len(sink.fields)) if sink.fields else "all"
        table.add_row(sink.sink, sink.kind, sink.record, sink.address, count)
    Console().print(table)


@app.command()
def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE…",
            help="Files of sinks; all of LEADPULSE_SINKS_DIR if absent.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Say whether sinks are right; leave with 1 when one is not. Asks no CRM."""
    from streams.settings import load_settings
    from streams.sinks.files import SinkFileError, load_sinks, read_sink, sink_paths

    settings = load_settings()
    failed = False
    for path in files or sink_paths(settings):
        try:
            sink = read_sink(path)
        except SinkFileError as error:
            failed = True
            _complain(error, path)
            continue
        what = f"{len(sink.fields)} fields of {sink.record}" if sink.fields else "all"
        typer.echo(f"{path}: {sink.sink} is right, {what} to {sink.address}")
    if failed:
        raise typer.Exit(1)
    if not files:
        load_sinks(settings)  # two of one name are a mistake, too


@app.command()
def schema() -> None:
    """Print the JSON Schema of a sink's file: editors complete and check with it."""
    from streams.sinks.files import json_schema

    print_schema(json_schema())


@app.command()
def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SINK…",
            help="Names or files; all of LEADPULSE_SINKS_DIR if absent.",
            show_default=False,
        ),
    ] = None,
    *,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print what would be written, as JSON lines, and leave."
        ),
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, help="Of a dry run: how many leads at most.")
    ] = _SHOWN,
    bootstrap: Bootstrap = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Prometheus port; 0 picks a free one.")
    ] = None,
) -> None:
    """Carry scores into CRMs, until stopped; `leadpulse up` runs it, too."""
    from streams.settings import load_settings
    from streams.sinks.files import SinkFileError, find_sink, load_sinks

    settings = load_settings(bootstrap=bootstrap, metrics_port=metrics_port)
    if names:
        sinks = [find_sink(name, settings) for name in names]
    else:
        sinks = load_sinks(settings)
    if not sinks:
        msg = "there is no sink: name a file, or set LEADPULSE_SINKS_DIR"
        raise SinkFileError(msg)
    if dry_run:
        for sink in sinks:
            _show(sink, settings, limit)
        return
    from streams.logs import configure_logging
    from streams.metrics_server import start_metrics_server
    from streams.sinks.running import RunningSinks
    from streams.tracing import configure_tracing

    configure_logging(settings, "sinks")
    configure_tracing(settings, "sinks")
    with RunningSinks(settings, sinks, _until_asked()) as running:
        start_metrics_server(
            settings,
            "sinks",
            probes={"/healthz": running.stuck, "/readyz": running.not_ready},
        )
        running.wait()


@app.command()
def backfill(
    name: SinkName,
    *,
    bootstrap: Bootstrap = None,
) -> None:
    """Write every lead's latest score, as the topic has it, where it differs.

    The sink must not be running meanwhile; when it starts again it goes on from here.
    """
    from streams.logs import configure_logging
    from streams.settings import load_settings
    from streams.sinks.files import find_sink
    from streams.sinks.running import backfill_sink

    settings = load_settings(bootstrap=bootstrap)
    configure_logging(settings, "sinks")
    told = backfill_sink(settings, find_sink(name, settings), _until_asked())
    typer.echo(
        ", ".join(f"{count:,} {result}" for result, count in told.items() if count)
    )
    if told.get("refused"):
        raise typer.Exit(1)


@app.command()
def reconcile(
    name: SinkName,
    *,
    show: Annotated[
        int, typer.Option(min=0, help="How many leads of each kind are listed.")
    ] = _SHOWN,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every finding as a line of JSON.")
    ] = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Say where a CRM differs from the topic; leave with 1 when it does.

    Nothing is written. Lead ids and names of fields are printed, never values.
    """
    from collections import Counter, defaultdict

    import msgspec

    from streams.logs import configure_logging
    from streams.settings import load_settings
    from streams.sinks.files import find_sink
    from streams.sinks.running import reconcile_sink

    settings = load_settings(bootstrap=bootstrap)
    configure_logging(settings, "sinks")
    sink = find_sink(name, settings)
    counts: Counter[str] = Counter()
    fields: Counter[str] = Counter()
    listed: dict[str, list[str]] = defaultdict(list)
    for line in reconcile_sink(settings, sink):
        counts[line.verdict] += 1
        if line.verdict in {"same", "gone"}:
            continue
        fields.update(line.fields)
        if as_json:
            typer.echo(msgspec.json.encode(line).decode())
        elif len(listed[line.verdict]) < show:
            listed[line.verdict].append(f"{line.lead_id}  {', '.join(line.fields)}")
    for verdict, leads in listed.items():
        typer.echo(f"{verdict}:")
        for lead in leads:
            typer.echo(f"  {lead.rstrip()}")
    if fields:
        told = ", ".join(f"{field} {count:,}" for field, count in fields.most_common())
        typer.echo(f"fields that differ: {told}", err=as_json)
    total = ", ".join(f"{count:,} {verdict}" for verdict, count in counts.most_common())
    typer.echo(f"{sink.sink}: {total or 'no leads on the topic'}", err=as_json)
    # A CRM that makes no records of ours does not know everybody, and need not.
    wrong = counts["differs"] + counts["left-over"] + counts["ambiguous"]
    if wrong or (sink.create is not None and counts["missing"]):
        raise typer.Exit(1)


def _until_asked() -> "Event":
    import signal
    import threading

    stop = threading.Event()
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, lambda *_: stop.set())
    return stop


def _show(sink: "Sink", settings: "Settings", limit: int) -> None:
    """Print what would be written of the leads there are, the first `limit`."""
    import json
    from itertools import islice

    from streams.sinks.reading import latest_rows
    from streams.suppression_feed import load_suppressions

    plain: Callable[[Row], dict[str, object]]
    if sink.kind == "webhook":
        plain = lambda row: (  # noqa: E731 - one of two
            {"gone": row.lead_id, "why": row.why}
            if row.clear
            else {"update": json.loads(row.update)}
        )
    else:
        plain = lambda row: (  # noqa: E731 - the other
            {"lead_id": row.lead_id, "clear": row.why}
            if row.clear
            else {"lead_id": row.lead_id, "match": row.key, "fields": row.fields}
        )
    rows = latest_rows(settings, sink, load_suppressions(settings))
    for row in islice(rows, limit):
        line = {"sink": sink.sink, **plain(row)}
        typer.echo(json.dumps(line, ensure_ascii=False))


def _complain(error: "SinkFileError", path: Path) -> None:
    for problem in error.problems:
        typer.echo(problem.picture, err=True)
    count = len(error.problems)
    text = f"{path}: {count} problem{'s' if count > 1 else ''}"
    typer.secho(text, err=True, fg="red", bold=True)
