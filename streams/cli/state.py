"""`leadpulse state`: what the workers know, in a file and back."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Back up what the workers know to a file, and restore it.",
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
