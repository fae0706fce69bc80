"""How a score adds up, as bars that begin where the one before ended."""

from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.score import CLIP_MARK, WHOLE_SCORE, ScoreUpdate
from schemas.time import Instant, to_instant
from scorers.explain import Ground

_TINY: Final = 0.05


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ledger, drawn."""

    group: str
    rule: str
    points: float
    low: float
    """Where the bar begins, in percent of the width."""
    width: float
    faded: float = 0.0
    """What decay took of it, in percent of the width."""
    whole: float | None = None
    """The points before decay, where that is known and more."""
    count: int = 0
    last_at: Instant | None = None


class Waterfall(msgspec.Struct, frozen=True, kw_only=True):
    """All lines, by group; together they are the score."""

    groups: tuple[tuple[str, float, tuple[Bar, ...]], ...]
    """Each group's name, points and lines, the strongest group first."""
    score: float


def waterfall(update: ScoreUpdate, grounds: tuple[Ground, ...] = ()) -> Waterfall:
    """Return how the score of `update` adds up; `grounds` tell what decay took."""
    known = {ground.rule: ground for ground in grounds}
    told = {reason.rule: reason for reason in update.reasons}
    ordered = sorted(
        update.ledger.items(),
        key=lambda item: (item[0] == WHOLE_SCORE, -sum(item[1].values())),
    )
    lines = [
        (group, rule, points)
        for group, rules in ordered
        for rule, points in sorted(rules.items(), key=_order)
        if abs(points) >= _TINY
    ]
    scale = _scale(lines, known)
    found: dict[str, list[Bar]] = {}
    at = 0.0
    for group, rule, points in lines:
        ground, reason = known.get(rule), told.get(rule)
        whole = _whole(ground, points)
        last = None
        if ground is not None:
            last = ground.last_at
        elif reason is not None and reason.last_at is not None:
            last = to_instant(reason.last_at)
        found.setdefault(group, []).append(
            Bar(
                group=group,
                rule=rule,
                points=points,
                low=_percent(max(0.0, min(at, at + points)), scale),
                width=_percent(abs(points), scale),
                faded=0.0 if whole is None else _percent(whole - points, scale),
                whole=whole,
                count=(ground or reason).count if (ground or reason) else 0,  # type: ignore[union-attr] # one of them
                last_at=last,
            )
        )
        at += points
    return Waterfall(
        groups=tuple(
            (name, sum(bar.points for bar in bars), tuple(bars))
            for name, bars in found.items()
        ),
        score=update.score,
    )


def _order(line: tuple[str, float]) -> tuple[bool, float]:
    rule, points = line
    return rule.startswith(CLIP_MARK), -points


def _scale(lines: list[tuple[str, str, float]], known: Mapping[str, Ground]) -> float:
    """Return the points that the whole width stands for."""
    at = most = 0.0
    for _, rule, points in lines:
        most = max(most, at + points, at + (_whole(known.get(rule), points) or 0.0))
        at += points
    return max(most, 1.0)


def _whole(ground: Ground | None, points: float) -> float | None:
    whole = None if ground is None else ground.whole
    return whole if whole is not None and whole - points > _TINY else None


def _percent(points: float, scale: float) -> float:
    return round(100 * points / scale, 2)
