"""The ranking and the card of an account, drawn for a person at a terminal."""

from collections.abc import Sequence
from typing import Final

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from schemas.account import AccountScore
from schemas.time import Instant
from scorers.account_phrases import told_score
from scorers.compiled import CompiledModel
from streams.drawing import (
    bar,
    because,
    lead_name,
    sparkline,
    tier_badge,
    tier_colour,
)
from streams.lead_screens import (
    add_origin,
    alerts_table,
    course,
    fact_grid,
    last_seen,
    next_change,
    ranked,
    section,
)
from streams.view import AccountCard, LeadCard

NO_ACCOUNTS: Final = (
    "No accounts here yet. They come with leads that have a company's mail address or "
    "an account, if the model has `accounts`."
)
_WIDE: Final = 110
"""From this width on the ranking has room for what is merely good to know."""


def accounts_table(
    cards: Sequence[AccountCard], now: Instant, width: int
) -> RenderableType:
    """Return accounts as a table, best first, for a terminal `width` cells wide."""
    if not cards:
        return NO_ACCOUNTS
    wide = width >= _WIDE
    table = ranked()
    table.add_column("score", no_wrap=True, min_width=16 if wide else 12)
    table.add_column("7 days", no_wrap=True, justify="right", min_width=5)
    table.add_column("trend", no_wrap=True, min_width=12 if wide else 8)
    table.add_column("account", no_wrap=True, overflow="ellipsis", ratio=2)
    table.add_column("people", no_wrap=True, justify="right", min_width=11)
    if wide:
        table.add_column("domain", no_wrap=True, overflow="ellipsis", ratio=2)
        table.add_column("next change", no_wrap=True, justify="right")
    for rank, card in enumerate(cards, start=1):
        update = card.update
        cells: list[RenderableType] = [
            str(rank),
            tier_badge(update.tier),
            _score(update, 10 if wide else 6),
            _gain(update),
            sparkline(card.history, now, 12 if wide else 8),
            update.name or update.account_id,
            _people(update),
        ]
        if wide:
            cells += [update.domain or "", next_change(update, now)]
        table.add_row(*cells)
    return table


def account_screen(
    card: AccountCard, model: CompiledModel | None, now: Instant
) -> RenderableType:
    """Return all about one account; how it adds up only by the model that did it."""
    update = card.update
    title = Text.assemble(
        (update.name or update.account_id, "bold"), "  ", tier_badge(update.tier)
    )
    facts = fact_grid()
    facts.add_row("score", _score(update, 30))
    if model is not None and model.source.accounts is not None:
        facts.add_row("it is", told_score(model.source.accounts))
    facts.add_row("7 days", _gain(update))
    facts.add_row("trend", course(card.history, now))
    qualified = (
        Text("qualified", "green") if update.qualified else Text("not qualified")
    )
    facts.add_row("people", Text.assemble(_people(update), ", ", qualified))
    if update.domain is not None:
        facts.add_row("domain", update.domain)
    facts.add_row("account id", update.account_id)
    add_origin(facts, update, now)
    parts: list[RenderableType] = [
        Panel(facts, title=title, title_align="left", box=ROUNDED)
    ]
    if card.people:
        parts.append(_members(card.people, now, update.members))
    if card.alerts:
        parts.append(alerts_table(card.alerts, now))
    return Group(*parts)


def _members(people: Sequence[LeadCard], now: Instant, members: int) -> Table:
    table = section("people")
    table.expand = True
    table.add_column("tier", no_wrap=True, min_width=8)
    table.add_column("score", no_wrap=True, justify="right", min_width=5)
    table.add_column("lead", no_wrap=True, overflow="ellipsis", ratio=3)
    table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=4)
    table.add_column("owner", no_wrap=True, overflow="ellipsis", ratio=1, style="dim")
    table.add_column("last seen", no_wrap=True, justify="right", min_width=9)
    for person in people:
        update = person.update
        table.add_row(
            tier_badge(update.tier),
            f"{update.score:.1f}",
            lead_name(update),
            Text(because(update)),
            update.owner or "",
            last_seen(person, now),
        )
    if members > len(people):
        table.caption = f"and {members - len(people):,} more"
    return table


def _score(update: AccountScore, width: int) -> Text:
    drawn = bar(update.score, 100, width, tier_colour(update.tier))
    return Text.assemble((f"{update.score:5.1f} ", "bold"), drawn)


def _gain(update: AccountScore) -> Text:
    style = "green" if update.trend > 0 else "red" if update.trend < 0 else "dim"
    return Text(f"{update.trend:+g}" if update.trend else "0", style)


def _people(update: AccountScore) -> str:
    return f"{update.active:,} of {update.members:,} active"
