"""A lead explained, for a person at a terminal and for programs."""

from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from schemas.locale import Locale
from schemas.time import to_iso
from scorers.compiled import CompiledModel
from scorers.explanation import Explanation
from scorers.machine_notes import not_counted
from scorers.sentences import reason, sections, summary
from scorers.whatif import Option
from scorers.withholding import withheld


def explanation_screen(
    model: CompiledModel, told: Explanation, locale: Locale
) -> RenderableType:
    """Return why a score is what it is, in sentences under headings."""
    parts: list[RenderableType] = [Text(summary(model, told, locale))]
    for section in sections(model, told, locale):
        parts.append(Text(f"\n{section.heading}", "bold"))
        parts += [Padding(Text(line), (0, 0, 0, 2)) for line in section.lines]
    return Group(*parts)


def explanation_plain(
    model: CompiledModel, told: Explanation, locale: Locale
) -> dict[str, Any]:
    """Return the same as data: exact figures, and the sentences beside them."""
    changes, way = told.changes, told.way
    return {
        "lead_id": told.lead_id,
        "at": to_iso(told.at),
        "score": told.score,
        "sum": told.exact,
        "tier": told.tier,
        "grade": told.grade,
        "model": model.ref,
        "next_change_at": None
        if told.next_change_at is None
        else to_iso(told.next_change_at),
        "reasons": [
            {
                "rule": ground.rule,
                "group": ground.group,
                "points": ground.points,
                "before_decay": ground.whole,
                "at_maximum": ground.at_bound,
                "count": ground.count,
                "last_at": None if ground.last_at is None else to_iso(ground.last_at),
                "value": ground.value,
                "text": reason(model, ground, told.at, locale),
            }
            for ground in told.grounds
        ],
        "not_counted": not_counted(told.state, locale),
        "withheld": withheld(model, told.state, locale),
        "unknown": told.unknown,
        "changes": {
            "since": to_iso(changes.since),
            "before": changes.before,
            "after": changes.after,
            "rules": [
                {"rule": change.rule, "before": change.before, "after": change.after}
                for change in changes.changes
            ],
        },
        "way": None
        if way is None
        else {
            "tier": told.goal,
            "target": way.target,
            "plan": _options(way.plan),
            "reaches": way.reaches,
            "options": _options(way.options),
        },
        "ledger": told.ledger,
        "locale": locale,
        "sections": sections(model, told, locale),
    }


def _options(options: tuple[Option, ...]) -> list[dict[str, Any]]:
    return [{"rule": option.rule, "points": option.points} for option in options]
