"""`leadpulse demo`: watch leads heat up and cool down, on the real product."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from streams.settings import Settings
    from streams.supervisor import Stack

app = typer.Typer()

_CAUTION = 1.5
_PASSED_ON = ("MODEL_PATH", "HOST", "LOG_LEVEL", "PARTITIONS", "DATA_DIR")
"""Settings that a demo takes from the environment: never a real broker or Redis."""


@app.command()
def demo(
    *,
    seconds: Annotated[
        float, typer.Option(min=10, max=3600, help="How long the three weeks take.")
    ] = 60,
    seed: Annotated[int, typer.Option(help="Another seed, another market.")] = 7,
    leads: Annotated[int, typer.Option(min=7, max=5000, help="How many people.")] = 90,
    speed: Annotated[
        float | None,
        typer.Option(min=100, help="Times as fast as life, in place of --seconds."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep it running afterwards, until Ctrl-C.")
    ] = False,
    board: Annotated[
        bool, typer.Option("--board/--no-board", help="A live screen, or plain lines.")
    ] = True,
) -> None:
    """Show three weeks of a made-up market in a minute, and check every promise.

    Starts a broker, Redis and every role of its own. Leaves with 1 when a promise
    was broken.
    """
    import signal

    from rich.console import Console

    from schemas.time import SECOND
    from streams.demo.board import live_board, plain_board
    from streams.demo.personas import STORY
    from streams.demo.run import SETUP_SECONDS, Demo, SlowStartError
    from streams.demo.summary import summary, what_next
    from streams.supervisor import Stack

    console = Console()
    span = seconds if speed is None else STORY / SECOND / speed
    board_for = live_board if board and console.is_terminal else plain_board
    console.print(
        f"Three weeks of {leads} invented people in {span:.0f} seconds. Starting a "
        "broker, Redis, collector, worker, view and web app …"
    )
    # Whoever asks it to end, everything it started ends first; a shell that put it in
    # the background has SIGINT ignored otherwise.
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.default_int_handler)
    setup_seconds = SETUP_SECONDS

    def told(url: str) -> None:
        console.print(f"Watch it live: [bold]{url}[/]", soft_wrap=True)

    while True:
        context, show = board_for(console)
        stack = Stack(_settings(span, setup_seconds))
        try:
            with context:
                demo = Demo(stack, seed=seed, leads=leads)
                result = demo.show(show, started=told)
            console.print(summary(result))
            what_next(console, result, stack, kept=keep)
            if keep:
                _wait(console, stack)
            break
        except SlowStartError as slow:
            if setup_seconds > SETUP_SECONDS:
                raise
            # On a machine as busy as this, the next start may well be slower still.
            setup_seconds = _CAUTION * slow.seconds
            console.print(f"That took {slow.seconds:.0f} s; once more, knowing it …")
        except KeyboardInterrupt:
            console.print("Stopping …")
            raise typer.Exit(130) from None
        finally:
            stack.stop()
    if not result.succeeded:
        raise typer.Exit(1)


def _settings(seconds: float, setup_seconds: float) -> "Settings":
    from streams.demo.run import plan_clock
    from streams.settings import PREFIX, load_settings

    wanted = {f"{PREFIX}{name}{kind}" for name in _PASSED_ON for kind in ("", "_FILE")}
    environ = {name: value for name, value in os.environ.items() if name in wanted}
    settings = load_settings(environ)
    return load_settings(
        environ,
        data_dir=settings.data_dir / "demo",
        collector_port=0,
        web_port=0,
        metrics_port=0,
        **plan_clock(seconds, setup_seconds),
    )


def _wait(console: "Console", stack: "Stack") -> None:
    """Wait for Ctrl-C; a part that ends by itself is told."""
    import time

    try:
        while True:
            stack.check()
            time.sleep(1)
    except KeyboardInterrupt:
        console.print("Stopping …")
