"""What the demo says at its end: the figures, the promises, what to try next."""

import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streams.demo.observer import percentile
from streams.demo.run import Result
from streams.drawing import lead_name
from streams.lead_screens import score_table
from streams.notifiers.layout import as_text
from streams.notifiers.message import Links, Writer
from streams.supervisor import Stack

_TOP: Final = 5
_SHOWN_FAULTS: Final = 10


def summary(result: Result) -> RenderableType:
    """Return the figures, the best leads and the promises with their verdicts."""
    parts: list[RenderableType] = [_figures(result), _best(result)]
    if (told := _message(result)) is not None:
        parts.append(told)
    return Group(*parts, _promises(result))


def _message(result: Result) -> RenderableType | None:
    """Return what a salesperson was told of the newest hot lead."""
    newest = next(
        (each for each in reversed(result.seen.alerts.values()) if each.kind == "hot"),
        None,
    )
    if newest is None:
        return None
    message = Writer("en", ZoneInfo("UTC")).write(newest, links=Links())
    text = Text(as_text((message,)).strip())
    return Panel(text, title="what sales is told", title_align="left", expand=False)


def _figures(result: Result) -> Table:
    seen, counts = result.seen, result.counts
    kinds = Counter(alert.kind for alert in seen.alerts.values())
    reasons = ", ".join(f"{n} {why}" for why, n in sorted(seen.dead_letters.items()))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row("events in", f"{counts.sent:,} of {len(result.people)} people")
    table.add_row("scored", f"{counts.scored:,}")
    table.add_row("duplicates", f"{counts.duplicates:,}")
    table.add_row("dead letters", f"{counts.dead_letters:,} ({reasons})")
    table.add_row("score updates", f"{seen.updates:,}")
    alerts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    table.add_row("alerts", alerts or "none")
    table.add_row("receipt to score", _latency(seen.score_seconds))
    table.add_row("receipt to alert", _latency(seen.alert_seconds))
    table.add_row(
        "time", f"{result.setup_seconds:.1f} s to start, {result.seconds:.1f} s in all"
    )
    return table


def _latency(seconds: list[float]) -> str:
    p50, p99 = percentile(seconds, 0.50), percentile(seconds, 0.99)
    if p50 is None or p99 is None:
        return "nothing to measure"
    span = f"p50 {p50 * 1000:,.0f} ms, p99 {p99 * 1000:,.0f} ms"
    return f"{span} (real time, {len(seconds):,} seen)"


def _best(result: Result) -> Table:
    leads = sorted(result.seen.latest.values(), key=lambda update: -update.score)
    return score_table(leads[:_TOP])


def _promises(result: Result) -> RenderableType:
    lines = []
    for check in result.checks:
        kept = not check.against
        mark = ("kept    ", "green") if kept else ("BROKEN  ", "bold red")
        lines.append(Text.assemble(mark, check.promise))
        lines += [Text(f"          {fault}", "red") for fault in _some(check.against)]
    return Group(*lines)


def _some(faults: Sequence[str]) -> list[str]:
    more = len(faults) - _SHOWN_FAULTS
    told = list(faults[:_SHOWN_FAULTS])
    return [*told, f"and {more} more"] if more > 0 else told


def what_next(console: Console, result: Result, stack: Stack, *, kept: bool) -> None:
    """Print what to try: on this very stack if it is kept, else on a new one."""
    recorded = shlex.quote(str(result.recorded))
    if not kept:
        console.print(
            f"\nTry next:\n"
            f"  leadpulse replay {recorded}\n"
            "  leadpulse demo --keep      and look around in it\n"
            "  leadpulse up               and point your own Segment SDK at it",
            highlight=False,
            soft_wrap=True,
        )
        return
    best = max(result.seen.latest.values(), key=lambda update: update.score)
    console.print(
        f"\nStill running; Ctrl-C stops it.\n"
        f"  {stack.web_url}      the web app\n"
        f"In another terminal:\n"
        f"  export LEADPULSE_REDIS_URL={stack.redis_url}\n"
        f"  leadpulse leads top --watch\n"
        f"  leadpulse accounts top\n"
        f"  leadpulse leads show {shlex.quote(lead_name(best))}\n"
        f"  curl -u {stack.write_key}: -H 'Content-Type: application/json' \\\n"
        f'    -d \'{{"userId":"me","event":"Demo Requested"}}\' '
        f"{stack.collector_url}/v1/track\n"
        f"  leadpulse replay {recorded}\n"
        f"Kafka: {stack.bootstrap}. Metrics:",
        highlight=False,
        soft_wrap=True,
    )
    for role in stack.roles:
        console.print(f"  {role.metrics_url}  {role.name}", highlight=False)
