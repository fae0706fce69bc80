"""How models, their tests and their differences look in a terminal."""

from collections import Counter
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from schemas.alert import Alert as Told
from schemas.locale import Locale
from scorers.account_phrases import account_phrases
from scorers.comparison import (
    Comparison,
    Life,
    Moved,
    busiest_hour,
    ranking_quality,
)
from scorers.compiled import CompiledModel
from scorers.explain import LedgerLine
from scorers.explanation import Explanation
from scorers.model import Alert, Model
from scorers.parts import tell_duration
from scorers.phrases import dormancy_phrases, phrases
from scorers.texts import said
from scorers.timeline_run import Miss, Outcome
from streams.drawing import tier_badge

_SHOWN: Final = 20
"""So many leads or alerts of a kind are listed; of the others only the number."""


def _signed(points: float) -> str:
    """Return points as a person writes them: with a sign and without noise."""
    return f"{round(points, 2) + 0.0:+g}"


# ── check ───────────────────────────────────────────────────────────────────────


def summary(path: Path, model: Model) -> Text:
    """Return what a right model has, in a few lines."""
    rules = sum(len(group.rules) for group in model.groups.values())
    caps = ", ".join(f"{name} {body.cap:g}" for name, body in model.groups.items())
    tiers = ", ".join(f"{tier.name} from {tier.at:g}" for tier in model.tiers)
    told = [*model.alerts, *(model.accounts.alerts if model.accounts else ())]
    alerts = ", ".join(f"{alert.name} ({alert.kind})" for alert in told)
    text = Text()
    text.append(f"{path}: right", style="green")
    text.append(f"  {model.model} {model.version}\n")
    text.append(
        f"  {len(model.groups)} groups  {caps}; {model.ceiling:g} at the most\n"
    )
    text.append(f"  {rules} rules\n")
    text.append(f"  tiers   {tiers or 'none'}\n")
    text.append(f"  alerts  {alerts or 'none'}")
    return text


# ── test ────────────────────────────────────────────────────────────────────────


def failure(source: Path, outcome: Outcome) -> RenderableType:
    """Return a timeline that does not hold: what was expected, and the ledger."""
    parts: list[RenderableType] = [
        Text.assemble(
            ("fails", "bold red"), f"  {outcome.name}  ", (str(source), "dim")
        )
    ]
    ledger: tuple[str, str] | None = None
    for miss in outcome.misses:
        who = "" if miss.who == "lead" else f" {miss.who}"
        parts.append(
            Text.assemble(
                f"  at {miss.at}{who}: {miss.what}  expected ",
                (miss.expected, "green"),
                "  got ",
                (miss.got, "red"),
            )
        )
        if ledger != (miss.at, miss.who):
            ledger = (miss.at, miss.who)
            parts.append(Padding(_miss_ledger(miss), (0, 0, 0, 4)))
    return Group(*parts)


def _miss_ledger(miss: Miss) -> RenderableType:
    return _ledger(miss.ledger, miss.score)


def _ledger(lines: tuple[LedgerLine, ...], score: float) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column()
    table.add_column(justify="right")
    for line in lines:
        if abs(line.points) >= 0.005:  # noqa: PLR2004 what rounds to 0.00 is no line
            told = line.note or line.rule
            if line.note and line.rule:
                told = f"{line.rule}: {line.note}"
            table.add_row(line.group, told, _signed(line.points))
    table.add_row("", Text("score", "bold"), Text(f"{score:g}", "bold"))
    return table


# ── explain ─────────────────────────────────────────────────────────────────────


def _dormancy(model: Model, locale: Locale) -> RenderableType:
    """Return what silence leaves of some groups."""
    titles = {
        name: said(group.title, locale) or name for name, group in model.groups.items()
    }
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for column, ratio in (("what", 3), ("when", 4), ("points of", 3)):
        table.add_column(column, ratio=ratio, overflow="fold")
    for column in ("factor", "floor"):
        table.add_column(column, justify="right", no_wrap=True)
    for phrase in dormancy_phrases(model, locale):
        groups = ", ".join(titles[name] for name in phrase.groups)
        row = (phrase.title, phrase.when, groups, phrase.factor, phrase.floor)
        table.add_row(*map(Text, row))
    return Group(Text("\nDormancy", style="bold"), table)


def model_screen(model: Model, locale: Locale) -> RenderableType:
    """Return the model as people talk, titles in `locale`: what gives how much."""
    by_group: dict[str, list[tuple[str, ...]]] = {}
    for rule in phrases(model, locale):
        row = (rule.title, rule.when, rule.points, rule.most, rule.fades)
        by_group.setdefault(rule.group, []).append(row)
    parts: list[RenderableType] = [
        Text.assemble(
            (f"{model.model} {model.version}", "bold"), f"  {model.description}"
        )
    ]
    for name, group in model.groups.items():
        floor = "" if group.floor is None else f", {group.floor:g} at the least"
        title = said(group.title, locale) or name
        heading = Text.assemble(
            "\n", (title, "bold"), f"  {group.cap:g} at the most{floor}"
        )
        table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
        for column, ratio in (("what", 3), ("when", 4), ("points", 3)):
            table.add_column(column, ratio=ratio, overflow="fold")
        table.add_column("most", justify="right", no_wrap=True)
        table.add_column("fades", ratio=2)
        for phrase in by_group.get(name, ()):
            table.add_row(*map(Text, phrase))
        parts += [heading, table]
    parts += [_dormancy(model, locale)] if model.dormancy else []
    parts.append(_tiers(model))
    if model.alerts:
        parts.append(Text("\nAlerts", "bold"))
        parts += [
            Text(f"{alert.name}  {_alert(alert, model)}") for alert in model.alerts
        ]
    if model.accounts is not None:
        parts.append(Text("\nAccounts", "bold"))
        parts += [
            Text(f"{part}  {says}")
            for part, says in account_phrases(model.accounts, locale)
        ]
    return Group(*parts)


def _tiers(model: Model) -> Text:
    text = Text("\nTiers  ", "bold")
    for tier in model.tiers:
        text.append_text(tier_badge(tier.name))
        text.append(f" from {tier.at:g}  ")
    return text if model.tiers else Text("")


def _alert(alert: Alert, model: Model) -> str:
    told = {
        "hot": "when the score comes up to {enter}, until it is below {leave}",
        "cooled": "when {of} has ended",
        "surge": "when events give {rise} points within {within}",
        "stage": "when the lead is in {stages}",
        "unworked": "when nobody deals with {of} within {after}",
    }[alert.kind]
    hot = alert.kind == "hot"
    told = told.format(
        enter=f"{model.threshold(alert):g}" if hot else "",
        leave=f"{model.leave_threshold(alert):g}" if hot else "",
        of=alert.of,
        rise="" if alert.rise is None else f"{alert.rise:g}",
        within="" if alert.within is None else tell_duration(alert.within),
        stages=" or ".join(alert.stages or ()),
        after="" if alert.after is None else tell_duration(alert.after),
    )
    if alert.capacity is not None:
        most = [alert.capacity.leads, *(each.leads for each in alert.capacity.shifts)]
        told += f"; it moves so that {' or '.join(map(str, most))} reach it at the most"
    if alert.dwell:
        told += f", once it lasts {tell_duration(alert.dwell)}"
    if alert.kind in {"hot", "surge", "stage"}:
        told += f"; not again within {tell_duration(alert.cooldown)}"
    return told


def lead_heading(name: str, model: CompiledModel, told: Explanation) -> Text:
    """Return whose score is explained, and by which model."""
    return Text.assemble(
        "\n",
        (name, "bold"),
        f"  {told.score:g} ",
        tier_badge(told.tier),
        f" {told.grade}  ",
        (f"{model.ref.name} {model.ref.version}", "dim"),
    )


# ── diff ────────────────────────────────────────────────────────────────────────


def comparison_screen(paths: tuple[Path, Path], found: Comparison) -> RenderableType:
    """Return what changes from one model to the other."""
    facts = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", str(paths[0]), str(paths[1])):
        facts.add_column(column, justify="right" if column else "left")
    for heading, before, after in _facts(found):
        facts.add_row(heading, before, after)
    parts: list[RenderableType] = [facts]
    moves = Counter((change.before, change.after) for change in found.tiers)
    parts.append(
        Text(f"\n{len(found.tiers):,} of {found.leads:,} leads change tier", "bold")
    )
    parts += [
        Text.assemble(f"{count:>6,}  ", tier_badge(before), " → ", tier_badge(after))
        for (before, after), count in moves.most_common()
    ]
    for change in found.tiers[:_SHOWN]:
        parts.append(
            Text(
                f"        {change.lead_id}  {change.before} {change.score_before:g} → "
                f"{change.after} {change.score_after:g}"
            )
        )
    parts += _more(len(found.tiers))
    parts.append(
        Text(
            f"\nAlerts: {len(found.gained):,} gained, {len(found.lost):,} lost, "
            f"{len(found.earlier):,} earlier, {len(found.later):,} later, "
            f"{found.same:,} the same",
            "bold",
        )
    )
    parts += _alerts("gained", found.gained)
    parts += _alerts("lost", found.lost)
    parts += _moved("earlier", found.earlier)
    parts += _moved("later", found.later)
    return Group(*parts)


def _facts(found: Comparison) -> list[tuple[str, str, str]]:
    lives = (found.before, found.after)

    def row(heading: str, *values: str) -> tuple[str, str, str]:
        before, after = values
        return heading, before, after

    rows = [
        row("leads", *(f"{len(life.scores):,}" for life in lives)),
        row("accounts", *(f"{len(life.accounts):,}" for life in lives)),
        row("alerts", *(f"{len(life.alerts):,}" for life in lives)),
        row("alerts per hour", *(f"{_per_hour(life):.2f}" for life in lives)),
        row("in the busiest hour", *(f"{busiest_hour(life):,}" for life in lives)),
    ]
    quality = [ranking_quality(life.samples) for life in lives]
    if None not in quality:
        shown = [f"{value:.3f}" for value in quality if value is not None]
        rows.append(row("ranks won above lost", *shown))
    return rows


def _per_hour(life: Life) -> float:
    return len(life.alerts) / life.hours


def _alerts(word: str, alerts: tuple[Told, ...]) -> list[RenderableType]:
    lines: list[RenderableType] = [
        Text(f"  {word:8}{alert.alert}  {alert.subject}  {alert.occurred_at:%F %T}")
        for alert in alerts[:_SHOWN]
    ]
    return lines + _more(len(alerts))


def _moved(word: str, moved: tuple[Moved, ...]) -> list[RenderableType]:
    lines: list[RenderableType] = [
        Text(
            f"  {word:8}{each.alert.alert}  {each.alert.subject}  "
            f"by {_span(abs(each.by))}"
        )
        for each in moved[:_SHOWN]
    ]
    return lines + _more(len(moved))


def _span(millis: int) -> str:
    hours, rest = divmod(round(millis / 1000), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _more(count: int) -> list[RenderableType]:
    if count <= _SHOWN:
        return []
    return [Text(f"        and {count - _SHOWN:,} more; --json has them all", "dim")]


def comparison_json(found: Comparison) -> str:
    """Return a comparison as JSON, for programs."""

    def life(of: Life) -> dict[str, Any]:
        return {
            "leads": len(of.scores),
            "accounts": len(of.accounts),
            "alerts": len(of.alerts),
            "alerts_per_hour": round(_per_hour(of), 4),
            "busiest_hour": busiest_hour(of),
            "ranking_quality": ranking_quality(of.samples),
        }

    def alert(of: Told) -> dict[str, Any]:
        told = {"lead_id": of.lead_id, "alert": of.alert, "at": of.occurred_at}
        return told if of.account is None else {**told, "account_id": of.account_id}

    def moved(of: Moved) -> dict[str, Any]:
        return {**alert(of.alert), "by_seconds": of.by / 1000}

    return msgspec.json.encode(
        {
            "before": life(found.before),
            "after": life(found.after),
            "tier_changes": found.tiers,
            "gained": [alert(each) for each in found.gained],
            "lost": [alert(each) for each in found.lost],
            "earlier": [moved(each) for each in found.earlier],
            "later": [moved(each) for each in found.later],
            "same": found.same,
        }
    ).decode()
