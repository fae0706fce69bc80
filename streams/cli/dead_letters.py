"""`leadpulse dead-letters`: what could not be processed, and another try at it."""

from collections import Counter
from typing import Annotated

import typer

app = typer.Typer(
    help="Look at what could not be processed, and try it again.",
    no_args_is_help=True,
)

Reason = Annotated[
    str | None, typer.Option(help="Only letters of this reason, e.g. invalid-json.")
]


@app.command("list")
def list_letters(
    *,
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
) -> None:
    """Show the newest dead letters: where they came from and why they died.

    Of the records themselves only their own id and size are shown: the rest may be
    personal data.
    """
    from rich.table import Table
    from rich.text import Text

    from schemas.time import to_iso
    from streams.dead_letter_log import latest_letters
    from streams.drawing import screen
    from streams.settings import load_settings

    letters = latest_letters(load_settings(), limit=limit, reason=reason)
    console = screen()
    if not letters:
        console.print("no dead letters")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("time", "stage", "reason", "tries", "from", "detail", "record"):
        table.add_column(heading, overflow="fold")
    for letter in letters:
        story = letter.story
        source = f"{story.topic}[{story.partition}]@{story.offset}"
        table.add_row(
            to_iso(letter.at),
            story.stage,
            Text(story.reason, "red"),
            str(story.attempts),
            source if story.topic else "",
            story.detail.partition("\n")[0][:200],
            letter.preview,
        )
    console.print(table)


@app.command()
def replay(
    *,
    reason: Reason = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most this many, oldest first.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be put back.")
    ] = False,
) -> None:
    """Put dead letters back where they came from, bytes, key and headers untouched.

    Do it after the cause is mended: what still cannot be processed dies again, with
    one more try counted. What was put back before is told apart by its event id and
    not scored twice. Letters of the collector stage hold what the source sent; the
    source has to send that again.
    """
    import asyncio

    from streams.dead_letter_log import choose, put_back
    from streams.settings import load_settings

    settings = load_settings()
    left, records = choose(settings, reason=reason, limit=limit)
    for why, count in left.items():
        typer.echo(f"{count} left alone: {_WHY_NOT[why]}", err=True)
    topics = Counter(record.topic for record in records)
    for topic, count in sorted(topics.items()):
        typer.echo(f"{count} {'would go' if dry_run else 'go'} back to {topic}")
    if not records:
        typer.echo("nothing to put back")
    elif not dry_run:
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("putting back", total=len(records))
            asyncio.run(
                put_back(
                    settings,
                    records,
                    report=lambda done: progress.update(task, completed=done),
                )
            )
        typer.echo(f"put back {len(records)}")


_WHY_NOT = {
    "not-an-event": "refused by the collector, so the source has to send it again",
    "already-tried": "the same record as another that is put back",
    "unknown-topic": "their headers name none of this deployment's topics",
}
