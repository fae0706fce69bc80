"""Why a score is what it is: the reasons in sentences, and the ledger that sums."""

from collections.abc import Sequence

import msgspec

from schemas.score import Reason
from schemas.time import Instant, to_datetime
from scorers.compiled import CompiledModel, CompiledRule
from scorers.curve import Curve
from scorers.masses import counted
from scorers.state import LeadState, RuleState

SIDE = 5
"""How many reasons are given for, and how many against."""

_TINY = 0.005


class LedgerLine(msgspec.Struct, frozen=True):
    """One line of the ledger. All `points` of a ledger sum to the exact score."""

    group: str
    rule: str
    points: float
    note: str = ""


def reasons(model: CompiledModel, state: LeadState, curve: Curve) -> tuple[Reason, ...]:
    """Return up to five reasons for and five against, strongest first."""
    given: list[tuple[float, str, str]] = []
    for piece in curve.pieces:
        for part in piece.parts:
            points = part.at(0)
            if abs(points) >= _TINY:
                given.append((points, part.rule, piece.group))
    given.sort(key=lambda item: (-abs(item[0]), item[1]))
    chosen = [
        *[item for item in given if item[0] > 0][:SIDE],
        *[item for item in given if item[0] < 0][:SIDE],
    ]
    return tuple(
        _reason(model.by_name[rule], state, group, points)
        for points, rule, group in chosen
    )


def _reason(rule: CompiledRule, state: LeadState, group: str, points: float) -> Reason:
    memory = state.rules.get(rule.name) if rule.kind == "event" else None
    count, last_at = _evidence(rule, memory)
    text = rule.title if count <= 1 else f"{rule.title} ({count} times)"
    if rule.trait_path is not None and rule.kind == "trait":
        fact = state.traits.get(rule.trait_path)
        if fact is not None and isinstance(fact.value, str | int | float):
            text = f"{rule.title}: {fact.value}"
    return Reason(
        rule=rule.name,
        group=group,
        points=round(points, 2),
        text=text,
        last_at=None if last_at is None else to_datetime(last_at),
        count=count,
    )


def _evidence(
    rule: CompiledRule, memory: RuleState | None
) -> tuple[int, Instant | None]:
    if memory is None:
        return 0, None
    if rule.limit is None:
        entries: Sequence[tuple[int, int, float, int]] = memory.entries
    else:
        entries = counted(rule, memory)
    last = entries[-1][0] if entries else memory.base_at or None
    return len(entries) + memory.base_count, last


def ledger(curve: Curve) -> tuple[LedgerLine, ...]:
    """Return every contribution and every clipped amount; they sum to the score."""
    lines: list[LedgerLine] = []
    total = 0.0
    for piece in curve.pieces:
        for part in piece.parts:
            raw, bounded = part.raw(0), part.at(0)
            if raw:
                lines.append(LedgerLine(piece.group, part.rule, raw))
            if bounded != raw:
                lines.append(
                    LedgerLine(piece.group, part.rule, bounded - raw, "rule maximum")
                )
        clipped = piece.at(0) - piece.raw(0)
        if clipped:
            note = "group cap" if clipped < 0 else "group floor"
            lines.append(LedgerLine(piece.group, "", clipped, note))
        total += piece.at(0)
    clipped = curve.exact() - total
    if clipped:
        note = "highest score" if clipped < 0 else "lowest score"
        lines.append(LedgerLine("", "", clipped, note))
    return tuple(lines)
