"""The ranking and the card of a lead, drawn for a person at a terminal."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from schemas.account import AccountScore
from schemas.alert import Alert
from schemas.score import Reason, ScoreUpdate
from schemas.time import Instant, to_instant
from scorers.compiled import CompiledModel
from streams.drawing import (
    Scored,
    ago,
    ahead,
    bar,
    because,
    lead_name,
    scored_bar,
    sparkline,
    tier_badge,
)
from streams.uncounted import uncounted
from streams.view import LeadCard, ScorePoint
from streams.view_records import SeenEvent

NO_LEADS: Final = (
    "No leads here yet. Send some events (`leadpulse send EVENTS.ndjson --to …`) "
    "or watch `leadpulse demo`."
)
_UNKNOWN_CAP: Final = 20.0
"""The scale of a group's bar where the model that scored the lead is not at hand."""
_WIDE: Final = 110
"""From this width on the ranking has room for what is merely good to know."""


def ranking_table(
    cards: Sequence[LeadCard], now: Instant, width: int
) -> RenderableType:
    """Return the leads as a table, best first, for a terminal `width` cells wide."""
    if not cards:
        return NO_LEADS
    wide = width >= _WIDE
    owned = wide and any(card.update.owner for card in cards)
    table = ranked()
    table.add_column("score", no_wrap=True, min_width=16 if wide else 12)
    table.add_column("trend", no_wrap=True, min_width=12 if wide else 8)
    table.add_column("lead", no_wrap=True, overflow="ellipsis", ratio=2)
    table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=3)
    if owned:
        table.add_column("owner", no_wrap=True, overflow="ellipsis")
    if wide:
        table.add_column("last seen", no_wrap=True, justify="right")
        table.add_column("next change", no_wrap=True, justify="right")
    for rank, card in enumerate(cards, start=1):
        update = card.update
        cells: list[RenderableType] = [
            str(rank),
            tier_badge(update.tier),
            scored_bar(update, 10 if wide else 6),
            sparkline(card.history, now, 12 if wide else 8),
            lead_name(update),
            Text(because(update)),
        ]
        if owned:
            cells.append(update.owner or "")
        if wide:
            cells += [last_seen(card, now), next_change(update, now)]
        table.add_row(*cells)
    return table


def score_table(scores: Sequence[Scored]) -> Table:
    """Return final scores as a table, in the order given."""
    table = ranked()
    table.add_column("score", no_wrap=True, min_width=16)
    table.add_column("lead", no_wrap=True, overflow="ellipsis", ratio=2)
    table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=3)
    for rank, lead in enumerate(scores, start=1):
        why = Text(because(lead))
        badge, drawn = tier_badge(lead.tier), scored_bar(lead, 10)
        table.add_row(str(rank), badge, drawn, lead_name(lead), why)
    return table


def card_screen(
    card: LeadCard, model: CompiledModel | None, now: Instant
) -> RenderableType:
    """Return all about one lead; group caps only from the model that scored it."""
    update = card.update
    title = Text.assemble(
        (lead_name(update), "bold"), "  ", tier_badge(update.tier), "  ", update.grade
    )
    score = scored_bar(update, 30)
    score.append(f"  {update.delta:+g} by {_cause(update)}", "dim")
    facts = fact_grid()
    facts.add_row("score", score)
    facts.add_row("trend", course(card.history, now))
    for name, values in _identity(update):
        facts.add_row(name, values)
    facts.add_row("last seen", last_seen(card, now) or "–")
    add_origin(facts, update, now)
    parts: list[RenderableType] = [
        Panel(facts, title=title, title_align="left", box=ROUNDED),
        _groups(update, model),
        _reasons(update.reasons),
    ]
    if update.not_counted or update.withheld:
        parts.append(_withheld(update, now))
    if card.events:
        parts.append(_events(card.events, uncounted(card, model), now))
    if card.alerts:
        parts.append(alerts_table(card.alerts, now))
    return Group(*parts)


def ranked() -> Table:
    """Return an empty ranking that begins with place and tier."""
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        expand=True,
        header_style="bold",
    )
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("tier", no_wrap=True, min_width=8)
    return table


def course(history: Sequence[ScorePoint], now: Instant) -> Text:
    """Return a score's course, and since when it is known."""
    if not history:
        return Text("–", "dim")
    first = ago(history[0].at, now)
    return Text.assemble(sparkline(history, now, 40), (f"  since {first}", "dim"))


def _identity(update: ScoreUpdate) -> list[tuple[str, str]]:
    known = update.identifiers
    rows = [
        ("e-mail", ", ".join(known.email)),
        ("user id", ", ".join(known.user_id)),
        ("anonymous id", ", ".join(known.anonymous_id)),
        ("account", update.account_id or ""),
        ("owner", update.owner or ""),
        ("lead id", update.lead_id),
    ]
    return [(name, values) for name, values in rows if values]


def _groups(update: ScoreUpdate, model: CompiledModel | None) -> Table:
    known = {} if model is None else {group.name: group for group in model.groups}
    table = section("groups")
    table.add_column("group", no_wrap=True)
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("of", justify="right", no_wrap=True, style="dim")
    for name, points in update.groups.items():
        group = known.get(name)
        full = 0.0 if group is None else -group.floor if points < 0 else group.cap
        drawn = bar(points, full or _UNKNOWN_CAP, 24, "cyan")
        title = name if group is None else group.title
        table.add_row(title, f"{points:g}", drawn, f"{full:g}" if full else "")
    return table


def _reasons(reasons: Sequence[Reason]) -> Table:
    table = section("why")
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("reason")
    table.add_column("group", style="dim", no_wrap=True)
    if not reasons:
        table.add_row("", Text("Nothing speaks for or against this lead.", "dim"), "")
    for reason in reasons:
        style = "green" if reason.points > 0 else "red"
        table.add_row(Text(f"{reason.points:+g}", style), reason.text, reason.group)
    return table


def _withheld(update: ScoreUpdate, now: Instant) -> Table:
    table = section("not counted")
    table.add_column("when", justify="right", no_wrap=True)
    table.add_column("what")
    for each in update.withheld:
        since = "" if each.since is None else ago(to_instant(each.since), now)
        table.add_row(since, each.text)
    for told in update.not_counted:
        table.add_row(ago(to_instant(told.last_at), now), told.text)
    return table


def _events(
    events: Sequence[SeenEvent], why_not: Mapping[str, str], now: Instant
) -> Table:
    table = section("recent events")
    table.add_column("when", justify="right", no_wrap=True)
    table.add_column("channel", style="dim", no_wrap=True)
    table.add_column("event", no_wrap=True)
    table.add_column("", style="dim", overflow="ellipsis", no_wrap=True)
    if why_not:
        table.add_column("counts", style="yellow")
    for event in events:
        when = ago(to_instant(event.at), now)
        cells = [when, event.channel, event.name, event.detail]
        if why_not:
            cells.append(why_not.get(event.id, ""))
        table.add_row(*cells)
    return table


def alerts_table(alerts: Sequence[Alert], now: Instant) -> Table:
    """Return alerts as a part of a card."""
    table = section("alerts")
    table.add_column("when", justify="right", no_wrap=True)
    table.add_column("alert", no_wrap=True)
    table.add_column("reason", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("next action")
    for alert in alerts:
        table.add_row(
            ago(to_instant(alert.occurred_at), now),
            Text(alert.alert, "red" if alert.kind == "hot" else "blue"),
            alert.reason,
            f"{alert.score:g}",
            alert.next_action,
        )
    return table


def fact_grid() -> Table:
    """Return an empty grid of names and facts, for the head of a card."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    return grid


def add_origin(facts: Table, update: ScoreUpdate | AccountScore, now: Instant) -> None:
    """Let the head of a card end with the next change and the model."""
    facts.add_row("next change", next_change(update, now) or "none planned")
    model = update.model
    facts.add_row("model", f"{model.name} {model.version} ({model.digest})")


def section(title: str) -> Table:
    """Return an empty table with a title, for a part of a card."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )


def _cause(update: ScoreUpdate) -> str:
    cause = update.cause
    return f"{cause.kind} ({cause.rule})" if cause.rule else cause.kind


def last_seen(card: LeadCard, now: Instant) -> str:
    """Return how long ago the lead did something; nothing if it never did."""
    return ago(to_instant(card.events[0].at), now) if card.events else ""


def next_change(update: ScoreUpdate | AccountScore, now: Instant) -> str:
    """Return when the score is due to change by itself; nothing if never."""
    at = update.next_change_at
    return "" if at is None else ahead(to_instant(at), now)
