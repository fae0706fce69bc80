"""`leadpulse replay`: the same scores as the live system, from a file, no broker."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.progress import Progress

    from schemas.event import Event
    from schemas.time import Instant
    from streams.event_files import EventFile
    from streams.replay import LeadScore, Tally
    from streams.settings import Settings

app = typer.Typer()

_SHOWN_LEADS = 30
_SHOWN_BAD_LINES = 100


def _known_as(
    settings: "Settings", *, without_erased: bool
) -> "Callable[[Event], Event | None]":
    """Return what gives events the form in which this deployment knows them."""
    from streams.identifying import identified
    from streams.suppression_feed import load_suppressions

    known_as = identified(settings)
    if not without_erased:
        return known_as
    suppressions = load_suppressions(settings)
    return lambda event: suppressions.screen(known_as(event))


def parse_at(text: str) -> "Instant":
    """Return the instant that `text` names; without a zone it is UTC."""
    from datetime import UTC, datetime

    from schemas.time import to_instant

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        msg = "write it as 2026-11-21T10:00:00Z"
        raise typer.BadParameter(msg) from None
    return to_instant(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


@app.command()
def replay(
    events: Annotated[
        str,
        typer.Argument(
            metavar="EVENTS.ndjson|-",
            help="Canonical events, one JSON object a line, plain or gzip; - is stdin.",
        ),
    ],
    *,
    model: Annotated[
        Path | None, typer.Option(help="Model file; LEADPULSE_MODEL_PATH if absent.")
    ] = None,
    versions: Annotated[
        Path | None,
        typer.Option(
            help="Every model that was in force, each in its time: what "
            "`leadpulse model history --export` wrote."
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="Score as of this instant; the last receipt if absent."),
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(help="Write every lead's final score here.")
    ] = None,
    updates: Annotated[
        Path | None, typer.Option(help="Write every score update here.")
    ] = None,
    alerts: Annotated[Path | None, typer.Option(help="Write every alert here.")] = None,
    accounts: Annotated[
        Path | None, typer.Option(help="Write every score of an account here.")
    ] = None,
    unlinked: Annotated[
        Path | None,
        typer.Option(
            help="File of identifiers, one a line, that never make two leads one; "
            "LEADPULSE_UNLINKED_PATH if absent."
        ),
    ] = None,
    without_erased: Annotated[
        bool,
        typer.Option(
            "--without-erased",
            help="Leave out who was erased: the list is read from LEADPULSE_BOOTSTRAP.",
        ),
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Tell bad lines and go on without them.")
    ] = False,
) -> None:
    """Score a file of events with the core itself: what a live worker would publish.

    Without an output option the result is a table on a terminal, JSON lines else.
    """
    from rich.console import Console

    from streams.event_files import EventFile
    from streams.model_files import read_model
    from streams.model_log import read_versions
    from streams.replay import Outputs, replay_file
    from streams.settings import load_settings
    from streams.unlinked import read_unlinked

    until = None if at is None else parse_at(at)
    if versions is not None and model is not None:
        msg = "give --model or --versions, not both"
        raise typer.BadParameter(msg)
    settings = load_settings(model_path=model, unlinked_path=unlinked)
    compiled = (
        read_model(settings.model_path) if versions is None else read_versions(versions)
    )
    outputs = Outputs(scores=scores, updates=updates, alerts=alerts, accounts=accounts)
    errors = Console(stderr=True)
    with EventFile.open(events) as source, progress_on(errors) as progress:
        check(source, progress, skip_bad=skip_bad)
        task = progress.add_task("scoring", total=len(source))
        tally = replay_file(
            compiled,
            source,
            outputs,
            at=until,
            report=lambda done: progress.update(task, completed=done),
            unlinked=read_unlinked(settings.unlinked_path),
            known_as=_known_as(settings, without_erased=without_erased),
        )
    errors.print(_summary(tally), highlight=False, soft_wrap=True)
    if outputs == Outputs():
        _print(tally.scores)


def progress_on(console: "Console") -> "Progress":
    """Return a progress bar that shows on a terminal only and leaves no trace."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def check(source: "EventFile", progress: "Progress", *, skip_bad: bool) -> None:
    """Check every line; tell the bad ones, and leave with 1 unless they are skipped."""
    task = progress.add_task("reading", total=source.size)
    source.check(lambda done: progress.update(task, completed=done))
    progress.remove_task(task)
    bad = source.bad_lines
    for line in bad[:_SHOWN_BAD_LINES]:
        typer.echo(f"leadpulse: line {line.number}: {line.problem}", err=True)
    if len(bad) > _SHOWN_BAD_LINES:
        more = len(bad) - _SHOWN_BAD_LINES
        typer.echo(f"leadpulse: and {more:,} more bad lines", err=True)
    if bad and not skip_bad:
        typer.echo(
            f"leadpulse: {len(bad):,} bad lines, nothing was done; "
            "--skip-bad goes on without them",
            err=True,
        )
        raise typer.Exit(1)


def _summary(tally: "Tally") -> str:
    told = ", ".join(
        f"{count:,} {kind}" for kind, count in sorted(tally.alerts.items())
    )
    return (
        f"{tally.scored:,} events scored, {tally.duplicates:,} duplicates, "
        f"{len(tally.scores):,} leads, {tally.accounts:,} accounts; "
        f"alerts: {told or 'none'}"
    )


def _print(scores: "list[LeadScore]") -> None:
    import msgspec

    from streams.drawing import screen
    from streams.lead_screens import score_table

    if not sys.stdout.isatty():
        for score in scores:
            typer.echo(msgspec.json.encode(score))
        return
    console = screen()
    console.print(score_table(scores[:_SHOWN_LEADS]))
    if len(scores) > _SHOWN_LEADS:
        more = len(scores) - _SHOWN_LEADS
        console.print(f"and {more:,} more; --scores OUT has them all", style="dim")
