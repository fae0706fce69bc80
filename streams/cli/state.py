"""`leadpulse state`: what the workers know, in a file and back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streams.state_rebuild import Comparison

app = typer.Typer(
    help="Back up what the workers know to a file, restore it, or make it anew.",
    no_args_is_help=True,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="A file of states (gzip).")]


@app.command()
def backup(
    file: File,
    *,
    workspace: Annotated[
        str | None, typer.Option(help="Only this tenant's; everybody's if left out.")
    ] = None,
) -> None:
    """Write every state, the models and who was erased to FILE, beside workers or not.

    The file holds personal data; only its owner can read it.
    """
    from streams.settings import load_settings
    from streams.state_files import back_up

    rows = back_up(load_settings(), file, workspace=workspace)
    typer.echo(f"{rows:,} records in {file}")


@app.command()
def check(file: File) -> None:
    """Say what FILE holds; leave with 1 if it is damaged."""
    from collections import Counter

    from schemas.time import to_instant, to_iso
    from streams.state_files import check_file, read_rows

    header = check_file(file)
    of = header.workspace or "every workspace"
    typer.echo(
        f"made at {to_iso(to_instant(header.made_at))} of {of}, "
        f"{header.partitions} partitions"
    )
    for topic, count in sorted(Counter(row.topic for row in read_rows(file)).items()):
        typer.echo(f"{topic}: {count:,}")


@app.command()
def restore(
    file: File,
    *,
    elsewhere: Annotated[
        bool,
        typer.Option(
            "--elsewhere",
            help="Into another deployment, also with another number of partitions.",
        ),
    ] = False,
) -> None:
    """Let workers that start next know what FILE says, and nothing else.

    Stop every worker first. They read on from where they were when FILE was made.
    """
    import asyncio

    from streams.settings import load_settings
    from streams.state_restore import restore as put_back

    written = asyncio.run(put_back(load_settings(), file, elsewhere=elsewhere))
    typer.echo(f"{written:,} records written; start the workers")


Model = Annotated[
    Path | None,
    typer.Option(
        help="The workers' model file; LEADPULSE_MODEL_PATH if absent. Published "
        "versions are found by themselves."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


@app.command()
def rebuild(file: File, *, model: Model = None, json: Json = False) -> None:
    """Make every state anew of the events, write them to FILE, say who differs.

    Workers go on meanwhile and nothing of theirs is touched. Leaves with 1 where
    anybody differs.
    """
    from streams.model_files import read_model
    from streams.settings import load_settings
    from streams.state_rebuild import rebuild as make_anew

    settings = load_settings(model_path=model)
    compiled = read_model(settings.model_path)
    with _progress() as progress:
        made = make_anew(settings, compiled, file, progress=progress)
    typer.echo(
        f"{made.leads:,} leads and {made.accounts:,} accounts of {made.folded:,} "
        f"events in {file}",
        err=json,
    )
    _tell(made.comparison, json=json)
    if made.comparison.differing:
        raise typer.Exit(1)


@app.command()
def switch(
    file: File,
    *,
    model: Model = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be; write nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Put what `rebuild` made in force, with what came since.

    Stop every worker first. Numbers of updates go on where they are, and nobody is
    told again of what was told.
    """
    import asyncio

    from streams.model_files import read_model
    from streams.settings import load_settings
    from streams.state_switch import switch as put_in_force

    settings = load_settings(model_path=model)
    compiled = read_model(settings.model_path)
    with _progress() as progress:
        done = asyncio.run(
            put_in_force(settings, compiled, file, dry_run=dry_run, progress=progress)
        )
    _tell(done.comparison, json=json)
    verb = "would be" if dry_run else "were"
    typer.echo(
        f"{done.kept:,} {verb} kept as they are, {done.emptied:,} emptied; "
        f"{done.told:,} updates and alerts {verb} published"
        + ("" if dry_run else "; start the workers"),
        err=json,
    )


@app.command()
def events(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write them.")],
    *,
    workspace: Annotated[str, typer.Option(help="Whose events.")],
    rename: Annotated[
        str | None,
        typer.Option("--as", help="The workspace that they are to be of instead."),
    ] = None,
) -> None:
    """Write the events of a workspace that are retained to FILE, a JSON object a line.

    `leadpulse send FILE --to BROKER` puts them elsewhere. The file holds personal
    data; only its owner can read it.
    """
    from streams.raw_log import write_events
    from streams.settings import load_settings

    count = write_events(load_settings(), file, workspace=workspace, rename=rename)
    typer.echo(f"{count:,} events in {file}")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Give what moves a bar that shows on a terminal only."""
    from rich.console import Console

    from streams.cli.replay import progress_on

    with progress_on(Console(stderr=True)) as bar:
        task = bar.add_task("reading", total=None)

        def tell(what: str, done: int, every: int) -> None:
            bar.update(task, description=what, completed=done, total=every or None)

        yield tell


def _tell(found: "Comparison", *, json: bool) -> None:
    """Print a comparison: how many leads of each kind, and the first that differ."""
    import msgspec

    from streams.state_rebuild import HOW

    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)))
        return
    for each in found.differences[:_SHOWN]:
        before = "-" if each.live is None else f"{each.live:g}"
        after = "-" if each.rebuilt is None else f"{each.rebuilt:g}"
        typer.echo(f"{each.lead_id}: {before} -> {after} ({each.how})")
    if (more := found.differing - _SHOWN) > 0:
        typer.echo(f"and {more:,} more; --json has up to 1,000 of them")
    for how, text in HOW.items():
        if count := found.counts[how]:
            typer.echo(f"{count:,} leads {text}")
    if found.cut:
        typer.echo("older events are gone by retention: who had some stays as he is")


_SHOWN: int = 20
