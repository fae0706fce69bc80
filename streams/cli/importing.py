"""`leadpulse import`: what other systems exported becomes canonical events."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.viewing import checked_workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.progress import Progress as Bar

    from streams.event_files import EventFile
    from streams.importing import Progress, Tally
    from streams.sending import Target

app = typer.Typer()

_SHOWN = 20


@app.command("import")
def import_(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|-",
            help="An export: CSV or one JSON object a line, plain or gzip; - is stdin.",
        ),
    ],
    *,
    mapping: Annotated[
        str,
        typer.Option(
            "--map",
            metavar="MAPPING",
            help="A mapping file, or a name that `leadpulse source list` has.",
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            metavar="URL|BOOTSTRAP|FILE.ndjson|-",
            help="The collector's URL, host:port[,…] of a broker, a file, or stdout.",
        ),
    ],
    write_key: Annotated[
        str | None, typer.Option(help="The collector's write key, as for `send`.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="At most so many events a second.")
    ] = None,
    workspace: Annotated[
        str | None,
        typer.Option(
            help="The workspace the events belong to.", callback=checked_workspace
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Their source; the mapping's name if absent.")
    ] = None,
    bad: Annotated[
        Path | None,
        typer.Option(help="Keep bad rows here; FILE.bad.* in this folder if absent."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Begin anew what was already imported.")
    ] = False,
) -> None:
    """Make events of the rows of a file, and send them in the order of their time.

    Interrupted, it goes on where it was when it is started again. Rows that cannot
    be taken are told with their line numbers and kept; the others go. Exit code 1
    says that there were some.
    """
    from rich.console import Console

    from schemas.workspace import DEFAULT_WORKSPACE
    from streams.cli.replay import progress_on
    from streams.cli.send import (
        is_collector,
        target_of,
        warn_of_channels,
        write_key_of,
    )
    from streams.collector.mapping.files import find_mapping
    from streams.event_files import EventFile
    from streams.importing import Progress, bad_path_of, convert
    from streams.row_files import RowFile
    from streams.settings import load_settings

    settings, console = load_settings(), Console(stderr=True)
    found = find_mapping(mapping, settings.mappings_dir)
    bad_path = bad_path_of(file, Path()) if bad is None else bad
    with (
        RowFile.open(file, found.mapping.mapping.file) as rows,
        tempfile.NamedTemporaryFile(suffix=".ndjson") as converted,
        progress_on(console) as bar,
    ):
        task = bar.add_task("reading", total=rows.size)
        tally = convert(
            rows,
            found,
            converted.file,
            source=source or found.name,
            workspace=workspace or DEFAULT_WORKSPACE,
            latest=settings.clock().now(),
            bad_path=bad_path,
            report=lambda done: bar.update(task, completed=done),
        )
        converted.flush()
        bar.remove_task(task)
        _tell(tally, bad_path)
        with EventFile.open(converted.name) as events:
            events.check()
            for line in events.bad_lines:  # too large for a topic, and nothing else
                typer.echo(f"leadpulse: event {line.number}: {line.problem}", err=True)
            if is_collector(to) or not _is_file(to):
                kept = Progress.of(
                    settings.data_dir, rows, found, to, events=len(events)
                )
                if again:
                    kept.forget()
                key = write_key_of(settings, write_key) if is_collector(to) else ""
                target = target_of(settings, to, key)
                refused = _send(events, target, kept, console, bar, rate)
                if is_collector(to):
                    warn_of_channels(events, console)
            else:
                refused = 0
                _write(events, to)
            unsendable = len(events.bad_lines)
    if tally.bad or refused or unsendable:
        raise typer.Exit(1)


def _is_file(to: str) -> bool:
    """Say whether events are to be written, not sent: no port is called so."""
    return to == "-" or to.endswith(".ndjson")


def _send(  # noqa: PLR0917 - all of one sending
    events: "EventFile",
    target: "Callable[[], Target]",
    kept: "Progress",
    console: "Console",
    bar: "Bar",
    rate: float | None,
) -> int:
    """Send what is not there yet; return how many were refused."""
    import time

    from streams.cli.send import run_sending, tell_sent
    from streams.importing import skip
    from streams.sending import Sent

    done = kept.done
    if done:
        console.print(
            f"{done:,} of {len(events):,} events were imported before "
            f"({kept.path}); --again begins anew",
            highlight=False,
            soft_wrap=True,
        )
    lines = events.lines_in_order_of_receipt()
    skip(lines, done)
    task = bar.add_task("sending", total=len(events), completed=done)
    sent = Sent()

    def report(count: int) -> None:
        kept.reach(done + count)
        bar.update(task, completed=done + count)

    started = time.monotonic()
    try:
        run_sending(lines, target, sent, rate, report)
    finally:
        tell_sent(sent, time.monotonic() - started)
    return len(sent.refused)


def _write(events: "EventFile", to: str) -> None:
    """Write the events to a file, which is there wholly or not at all, or to stdout."""
    import sys

    from streams.errors import UserError

    if to == "-":
        for _, line in events.lines_in_order_of_receipt():
            sys.stdout.buffer.write(line + b"\n")
        return
    path = Path(to)
    scratch = path.with_name(f".{path.name}.new")
    try:
        with scratch.open("wb") as out:
            for _, line in events.lines_in_order_of_receipt():
                out.write(line + b"\n")
        scratch.replace(path)
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror}"
        raise UserError(msg) from None
    typer.echo(f"{len(events):,} events written to {path}")


def _tell(tally: "Tally", bad_path: Path) -> None:
    for line in tally.bad[:_SHOWN]:
        typer.echo(f"leadpulse: line {line.number}: {line.problem}", err=True)
    if len(tally.bad) > _SHOWN:
        more = len(tally.bad) - _SHOWN
        typer.echo(f"leadpulse: and {more:,} more bad rows", err=True)
    if tally.bad:
        typer.echo(
            f"leadpulse: {len(tally.bad):,} bad rows are kept in {bad_path}, "
            f"the reasons in {bad_path}.txt",
            err=True,
        )
    typer.echo(
        f"{tally.rows:,} rows: {tally.events:,} events, {tally.passed:,} rows passed "
        f"over, {len(tally.bad):,} bad rows",
        err=True,
    )
