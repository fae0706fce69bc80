"""`leadpulse up`: everything on this machine, until Ctrl-C."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from streams.role_metrics import RoleMetrics
    from streams.supervisor import Stack

app = typer.Typer()

_CHECK_SECONDS = 0.5
_LINE_SECONDS = 30.0


class BrokerChoice(StrEnum):
    """The brokers that can be started."""

    EMBEDDED = "embedded"
    KAFKA = "kafka"


class _StopAskedError(BaseException):
    """Somebody wants it to end.

    XXX Not KeyboardInterrupt: when one passes through an `exec` (an import of a
    module with dataclasses will do), Python ends by SIGINT though it was caught.
    """


def _stop(*_: object) -> None:
    raise _StopAskedError


@app.command()
def up(
    *,
    bootstrap: Annotated[
        str | None,
        typer.Option(help="Use this Kafka (host:port[,…]) and start none."),
    ] = None,
    redis: Annotated[
        str | None,
        typer.Option(help="Use this Redis (redis://host:port/0) and start none."),
    ] = None,
    broker: Annotated[
        BrokerChoice,
        typer.Option(help="Broker to start: embedded (in memory) or Apache Kafka."),
    ] = BrokerChoice.EMBEDDED,
    data: Annotated[
        Path | None, typer.Option(help="Where data and logs are kept [.leadpulse].")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Collector's port; 0 picks a free one [8080].")
    ] = None,
    web_port: Annotated[
        int | None,
        typer.Option(
            help="Web app's port; 0 picks a free one [8090, or free with --port 0]."
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            help="First of the metrics ports, one per role; 0 picks free ones [9108]."
        ),
    ] = None,
    broker_port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="Port of the broker to start; 0 picks a free one."
        ),
    ] = 0,
    redis_port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="Port of the Redis to start; 0 picks a free one."
        ),
    ] = 0,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Scoring workers.")] = 1,
    write_key: Annotated[
        str | None,
        typer.Option(help="Key that sources send; one is made up and kept if unset."),
    ] = None,
) -> None:
    """Start broker, Redis, collector, workers, view, web app; stop all on Ctrl-C.

    Every setting of LEADPULSE_* holds for all of them (docs/running.md).
    """
    import signal

    from rich.console import Console

    from streams.settings import load_settings
    from streams.supervisor import Stack

    settings = load_settings(
        bootstrap=bootstrap,
        redis_url=redis,
        data_dir=data,
        collector_port=port,
        web_port=web_port,
        metrics_port=metrics_port,
        write_keys=None if write_key is None else f"local={write_key}",
    )
    console = Console(highlight=False)
    stack = Stack(
        settings,
        broker=broker.value,
        workers=workers,
        broker_port=broker_port,
        redis_port=redis_port,
        tell=lambda line: console.print(line, style="dim"),
    )
    # A closed terminal and a `kill` end it as Ctrl-C does.
    for asked in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(asked, _stop)
    try:
        with stack:
            console.print(_summary(stack), soft_wrap=True)
            console.print("Ctrl-C stops everything.", style="dim")
            _watch(stack, console)
    except _StopAskedError:
        console.print("stopped; nothing is left running", style="dim")


def _summary(stack: "Stack") -> str:
    """Return where everything is and how to begin, ready to copy."""
    rows = [
        ("web app", stack.web_url),
        ("collector", stack.collector_url),
        ("write key", stack.write_key),
        *((f"{role.name} metrics", role.metrics_url) for role in stack.roles),
        ("broker", f"{stack.bootstrap} ({_broker_note(stack)})"),
        ("redis", stack.redis_url if stack.redis else "yours"),
        ("data", str(stack.data_dir)),
    ]
    width = max(len(name) for name, _ in rows)
    table = "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)
    # A named Redis may have a password in its address: its owner knows it.
    redis = f" LEADPULSE_REDIS_URL={stack.redis_url}" if stack.redis else ""
    return f"""
[bold green]Leadpulse is up.[/]

{table}

Send a first event:

  curl -u {stack.write_key}: {stack.collector_url}/v1/track \\
    -H 'Content-Type: application/json' \\
    -d '{{"userId": "ada", "event": "Demo Requested"}}'

Then, in another terminal:

  export LEADPULSE_BOOTSTRAP={stack.bootstrap}{redis}
  leadpulse leads top
"""


def _broker_note(stack: "Stack") -> str:
    if stack.broker is None:
        return "yours"
    if stack.broker.keeps_data:
        return "Apache Kafka, kept in the data directory"
    return "embedded, in memory: gone when it stops"


def _watch(stack: "Stack", console: "Console") -> None:
    """Show what goes through until interrupted; leave when a part ends."""
    import time

    shown, shown_at = "", time.monotonic()
    with console.status("waiting for a first event") as status:
        while True:
            stack.check()
            told = stack.metrics()
            line = "a role does not answer" if told is None else _status(told)
            status.update(line)
            now = time.monotonic()
            if (
                not console.is_terminal
                and line != shown
                and now - shown_at > _LINE_SECONDS
            ):
                console.print(line)
                shown, shown_at = line, now
            time.sleep(_CHECK_SECONDS)


def _status(told: "RoleMetrics") -> str:
    """Return the flow so far in one line."""
    figures: tuple[tuple[str, str, dict[str, str]], ...] = (
        ("taken in", "leadpulse_collector_events_total", {"verdict": "accepted"}),
        ("scored", "leadpulse_events_total", {"result": "scored"}),
        ("leads", "leadpulse_leads", {}),
        ("alerts", "leadpulse_alerts_total", {"sent": "true"}),
        ("dead letters", "leadpulse_dead_letters_total", {}),
    )
    return " · ".join(
        f"{told.total(metric, **labels):,.0f} {name}"
        for name, metric, labels in figures
    )
