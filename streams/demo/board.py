"""The demo's live board: one screen of 80 by 24, or plain lines off a terminal."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from schemas.alert import Alert
from schemas.time import DAY, Instant, to_datetime, to_instant
from streams.drawing import (
    alert_line,
    bar,
    because,
    lead_name,
    scored_bar,
    sparkline,
    tier_badge,
    tier_colour,
)
from streams.view import LeadCard

TIERS: Final = ("gold", "silver", "bronze", "none")
TOP: Final = 5
ALERTS: Final = 6

_COLOURS: Final = {
    "hot": "red",
    "cooled": "blue",
    "surge": "magenta",
    "account-surge": "magenta",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What the board shows at one moment."""

    now: Instant
    began: Instant
    ends: Instant
    sent: int
    per_second: float
    updates: int
    dead_letters: int
    tiers: Mapping[str, int]
    top: Sequence[LeadCard]
    alerts: Sequence[Alert]
    """The latest, newest first."""
    told: int
    """How many alerts there were in all."""
    latencies: Mapping[str, tuple[float | None, float | None]]
    """p50 and p99 in real seconds, by what was measured."""


class Board(Protocol):
    """Shows how it goes."""

    def __call__(self, picture: Picture) -> None:
        """Show `picture` in place of the one before."""
        ...


def live_board(console: Console) -> tuple[AbstractContextManager[object], Board]:
    """Return the board for a terminal, and the context it lives in."""
    live = Live(console=console, auto_refresh=False, transient=True)

    def show(picture: Picture) -> None:
        live.update(draw(picture), refresh=True)

    return live, show


def plain_board(console: Console) -> tuple[AbstractContextManager[object], Board]:
    """Return a board of plain lines: each alert once, and a word now and then."""
    shown: set[str] = set()
    days_told = [0]

    def show(picture: Picture) -> None:
        for alert in reversed(picture.alerts):
            if alert.id not in shown:
                shown.add(alert.id)
                console.print(_alert_line(alert, picture.began), soft_wrap=True)
        day = int((picture.now - picture.began) / DAY)
        if day >= days_told[0] + _DAYS_BETWEEN_WORDS:
            days_told[0] = day
            console.print(_word(picture, day), highlight=False, soft_wrap=True)

    return nullcontext(), show


_DAYS_BETWEEN_WORDS: Final = 3


def draw(picture: Picture) -> RenderableType:
    """Return the picture as one screen, 79 cells wide and 23 lines high."""
    return Group(
        _headline(picture),
        _figures(picture),
        _tiers(picture.tiers),
        Text("top leads", "bold"),
        _top(picture),
        Text("latest alerts", "bold"),
        _alerts(picture),
    )


def _headline(picture: Picture) -> Text:
    passed = max(0, picture.now - picture.began)
    share = passed / max(1, picture.ends - picture.began)
    day = passed / DAY
    when = to_datetime(picture.now).strftime("%a %d %b %Y %H:%M")
    return Text.assemble(
        ("Leadpulse demo", "bold"),
        f"  {when}  day {day:4.1f}  ",
        bar(share, 1, 20, "green"),
        f" {min(1.0, share):4.0%}",
    )


def _figures(picture: Picture) -> Text:
    spans = "  ".join(
        f"{name} p50 {_ms(p50)} p99 {_ms(p99)}"
        for name, (p50, p99) in picture.latencies.items()
    )
    return Text(
        f"{picture.sent:,} events ({picture.per_second:,.0f}/s)  "
        f"{picture.updates:,} updates  {picture.told:,} alerts  "
        f"{picture.dead_letters:,} dead letters\nreceipt to {spans}\n",
        "dim",
    )


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:,.0f} ms"


def _tiers(tiers: Mapping[str, int]) -> Table:
    table = Table.grid(padding=(0, 1))
    most = max(1, *tiers.values())
    for tier in TIERS:
        count = tiers.get(tier, 0)
        table.add_row(
            tier_badge(tier), f"{count:4}", bar(count, most, 56, tier_colour(tier))
        )
    return table


def _top(picture: Picture) -> Table:
    table = _columns((8, 13, 10, 20, 24))
    for card in picture.top[:TOP]:
        update = card.update
        table.add_row(
            tier_badge(update.tier),
            scored_bar(update, 7),
            sparkline(card.history, picture.now, 10),
            lead_name(update),
            Text(because(update)),
        )
    return _filled(table, TOP, len(picture.top))


def _alerts(picture: Picture) -> Table:
    table = _columns((8, 13, 5, 24, 24))
    for alert in picture.alerts[:ALERTS]:
        who, why = alert_line(alert)
        day = (to_instant(alert.occurred_at) - picture.began) / DAY
        table.add_row(
            f"day {day:4.1f}",
            Text(alert.alert, _COLOURS.get(alert.kind, "yellow")),
            f"{alert.score:5.1f}",
            who,
            Text(why),
        )
    return _filled(table, ALERTS, len(picture.alerts))


def _columns(widths: Sequence[int]) -> Table:
    table = Table.grid(padding=(0, 1))
    for width in widths:
        table.add_column(width=width, no_wrap=True, overflow="ellipsis")
    return table


def _filled(table: Table, rows: int, have: int) -> Table:
    """Return `table` at its full height, so that the screen does not jump."""
    for _ in range(rows - have):
        table.add_row("")
    return table


def _alert_line(alert: Alert, began: Instant) -> Text:
    day = (to_instant(alert.occurred_at) - began) / DAY
    who, why = alert_line(alert)
    return Text.assemble(
        f"day {day:4.1f}  ",
        (f"{alert.alert:<13}", _COLOURS.get(alert.kind, "yellow")),
        f" {alert.score:5.1f}  {who}  {why}",
    )


def _word(picture: Picture, day: int) -> str:
    tiers = ", ".join(f"{picture.tiers.get(tier, 0)} {tier}" for tier in TIERS)
    return (
        f"day {day:4}  {picture.sent:,} events, {picture.updates:,} updates, "
        f"{picture.told:,} alerts; {tiers}"
    )


BoardMaker = Callable[[Console], tuple[AbstractContextManager[object], Board]]
