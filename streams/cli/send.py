"""`leadpulse send`: real input into a running system."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import Console

    from streams.event_files import EventFile
    from streams.sending import Line, Sent, Target
    from streams.settings import Settings

app = typer.Typer()

_SHOWN = 20


@app.command()
def send(
    events: Annotated[
        str,
        typer.Argument(
            metavar="EVENTS.ndjson|-",
            help="Canonical events, one JSON object a line, plain or gzip; - is stdin.",
        ),
    ],
    *,
    to: Annotated[
        str,
        typer.Option(
            metavar="URL|BOOTSTRAP",
            help="The collector's URL, or host:port[,…] of a broker.",
        ),
    ],
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="At most so many events a second.")
    ] = None,
    write_key: Annotated[
        str | None,
        typer.Option(
            help="The collector's write key; that of LEADPULSE_WRITE_KEYS or "
            "of `leadpulse up` here if absent."
        ),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Tell bad lines and go on without them.")
    ] = False,
) -> None:
    """Send a file of events into a running system, in the order of their receipt.

    To a URL they go as the collector's clients send them and are received anew; to a
    broker they go onto the topics as they are.
    """
    import time

    from rich.console import Console

    from streams.cli.replay import check, progress_on
    from streams.event_files import EventFile
    from streams.sending import Sent
    from streams.settings import load_settings

    settings = load_settings()
    over_http = is_collector(to)
    key = write_key_of(settings, write_key) if over_http else ""
    console, sent = Console(stderr=True), Sent()
    with EventFile.open(events) as source, progress_on(console) as progress:
        check(source, progress, skip_bad=skip_bad)
        if over_http:
            warn_of_channels(source, console)
        task = progress.add_task("sending", total=len(source))
        started = time.monotonic()
        try:
            run_sending(
                source.lines_in_order_of_receipt(),
                target_of(settings, to, key),
                sent,
                rate,
                lambda done: progress.update(task, completed=done),
            )
        finally:
            tell_sent(sent, time.monotonic() - started)
    if sent.refused:
        raise typer.Exit(1)


def is_collector(to: str) -> bool:
    """Say whether `to` is a collector's URL; else it is a broker's address."""
    return to.startswith(("http://", "https://"))


def target_of(settings: "Settings", to: str, write_key: str) -> "Callable[[], Target]":
    """Return what makes the target, inside the loop it will be used in."""
    from streams.event_log import KafkaEventLog
    from streams.identifying import identified
    from streams.sending import CollectorTarget, TopicTarget

    if write_key:
        return lambda: CollectorTarget(to, write_key)
    there = settings.model_copy(update={"bootstrap": to})
    return lambda: TopicTarget(
        KafkaEventLog(there, name="send"),
        prefix=settings.topic_prefix,
        known_as=identified(settings) if settings.pseudonymous else None,
    )


def warn_of_channels(source: "EventFile", console: "Console") -> None:
    """Say how many events a collector will put on another channel than their own."""
    from streams.sending import keeps_channel

    changed = sum(not keeps_channel(event) for event in source)
    if changed:
        console.print(
            f"{changed:,} events have names of another channel than their own; "
            "Segment's API goes by the name. Send to the broker to keep both.",
            style="yellow",
        )


def run_sending(
    lines: "Iterable[Line]",
    target: "Callable[[], Target]",
    sent: "Sent",
    rate: float | None,
    report: "Callable[[int], None]",
) -> None:
    """Send `lines` to the end, or until Ctrl-C: `sent` says how far it came."""
    import asyncio

    from streams.sending import send_all

    async def run() -> None:
        await send_all(lines, target(), sent, rate=rate, report=report)

    # Ctrl-C ends a long sending; what was sent is told like at any other end.
    with suppress(KeyboardInterrupt):
        asyncio.run(run())


def write_key_of(settings: "Settings", given: str | None) -> str:
    """Return the write key to use: the one given, or one that is known here.

    Raises
    ------
    UserError
        When there is none.
    """
    from streams.errors import UserError

    if given:
        return given
    for secret in settings.write_keys.values():
        return secret.get_secret_value()
    kept = settings.data_dir / "write-key"
    with suppress(OSError):
        if key := kept.read_text(encoding="utf-8").strip():
            return key
    msg = "a collector wants a write key: give --write-key or LEADPULSE_WRITE_KEYS"
    raise UserError(msg)


def tell_sent(sent: "Sent", seconds: float) -> None:
    """Print what was sent, accepted and refused, and why."""
    for refused in sent.refused[:_SHOWN]:
        typer.echo(f"leadpulse: refused {refused.event_id}: {refused.reason}", err=True)
    if len(sent.refused) > _SHOWN:
        more = len(sent.refused) - _SHOWN
        typer.echo(f"leadpulse: and {more:,} more were refused", err=True)
    accepted = sent.events - len(sent.refused)
    typer.echo(
        f"{sent.events:,} events sent in {seconds:.1f} s "
        f"({sent.events / max(seconds, 1e-3):,.0f}/s): "
        f"{accepted:,} accepted, {len(sent.refused):,} refused"
    )
