"""Why a score is what it is: the reasons in sentences, and the ledger that sums."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from schemas.locale import Locale
from schemas.score import CLIP_MARK, ROUNDING, WHOLE_SCORE, Reason
from schemas.time import Instant, to_datetime
from scorers.compiled import CompiledModel
from scorers.compiled_rules import CompiledRule
from scorers.consent_gate import NO_CONSENT
from scorers.curve import Curve, DormantPiece, Lull, Part
from scorers.masses import counted
from scorers.reading import UNLESS, last_activity, unmet
from scorers.speech import SPEECH
from scorers.state import LeadState, RuleState
from scorers.texts import said

SIDE = 5
"""How many reasons are given for, and how many against."""

_TINY = 0.005

_DECIMALS = 4
"""Of the lines of a published ledger; what they leave over is in its rounding."""


class LedgerLine(msgspec.Struct, frozen=True):
    """One line of the ledger. All `points` of a ledger sum to the exact score."""

    group: str
    rule: str
    points: float
    note: str = ""


class Ground(msgspec.Struct, frozen=True):
    """What one rule gives now, and what that rests on."""

    rule: str
    group: str
    points: float
    """After decay and the rule's own maximum."""
    whole: float | None = None
    """What it was before decay; None where nothing ages or it is not known."""
    at_bound: bool = False
    """Whether it would be more, but for the rule's own maximum."""
    count: int = 0
    """How often it happened, where that is known."""
    last_at: Instant | None = None
    """When it happened last; of a silence, when it began."""
    value: Any = None
    """The trait's value that the points are read off."""
    share: float | None = None
    """Of a dormancy: what is left of the points of the groups that it is about."""
    groups: tuple[str, ...] = ()
    """Of a dormancy: the groups from which it takes something."""


class Lost(NamedTuple):
    """What a silence takes of the points of the groups that it makes dormant."""

    lull: Lull
    points: float
    groups: tuple[str, ...]


class _Evidence(NamedTuple):
    times: int = 0
    last_at: Instant | None = None
    whole: float | None = None


def reasons(model: CompiledModel, state: LeadState, curve: Curve) -> tuple[Reason, ...]:
    """Return up to five reasons for and five against, strongest first."""
    return (
        *_refusals(model, state),
        *(
            _reason(model, state, cause, group, points)
            if isinstance(cause, Part)
            else _dormant_reason(model, cause, group)
            for points, cause, group in _strongest(curve)
        ),
    )


def _refusals(model: CompiledModel, state: LeadState) -> Iterator[Reason]:
    """Yield a reason for every refusal that holds points back."""
    for gate in model.gates_named(state.refused):
        if gate.withholds:
            yield Reason(
                rule=NO_CONSENT,
                group=next(iter(gate.groups)) if len(gate.groups) == 1 else "",
                points=0.0,
                text=SPEECH[model.source.locale].say(
                    "short.no-consent", purpose=gate.title
                ),
            )


def grounds(model: CompiledModel, state: LeadState, curve: Curve) -> tuple[Ground, ...]:
    """Return the same with all that is known of each, at the start of `curve`."""
    return tuple(
        _ground(model, state, cause, group, curve.start)
        if isinstance(cause, Part)
        else Ground(
            rule=cause.lull.dormancy,
            group=group,
            points=cause.points,
            last_at=cause.lull.since,
            share=cause.lull.share,
            groups=cause.groups,
        )
        for _, cause, group in _strongest(curve)
    )


def _ground(
    model: CompiledModel, state: LeadState, part: Part, group: str, at: Instant
) -> Ground:
    rule = model.by_name[part.rule]
    if rule.kind == "silence":
        evidence = _Evidence(last_at=last_activity(state, rule.silent_on))
    elif rule.kind == "absence":
        evidence = _missed(rule, state, at)
    else:
        evidence = _happened(rule, state.rules.get(rule.name))
    points, raw = part.at(at), part.raw(at)
    return Ground(
        rule=rule.name,
        group=group,
        points=points,
        whole=evidence.whole,
        at_bound=abs(raw) - abs(points) >= _TINY,
        count=evidence.times,
        last_at=evidence.last_at,
        value=_fact(rule, state),
    )


def _strongest(curve: Curve) -> list[tuple[float, Part | Lost, str]]:
    """Return the points of what is a reason, what it is, and its group.

    The strongest comes first. The group of a dormancy is empty where it is about
    several.
    """
    start = curve.start
    given: list[tuple[float, str, Part | Lost, str]] = [
        (part.at(start), part.rule, part, piece.group)
        for piece in curve.pieces
        for part in piece.parts
        if part.const or part.amp or part.slope
    ]
    for lull in curve.lulls:
        lost = lost_to(lull, curve)
        group = lost.groups[0] if len(lost.groups) == 1 else ""
        given.append((lost.points, lull.dormancy, lost, group))
    given = [item for item in given if abs(item[0]) >= _TINY]
    given.sort(key=lambda item: (-abs(item[0]), item[1]))
    chosen = [
        *[item for item in given if item[0] > 0][:SIDE],
        *[item for item in given if item[0] < 0][:SIDE],
    ]
    return [(points, cause, group) for points, _, cause, group in chosen]


def lost_to(lull: Lull, curve: Curve) -> Lost:
    """Return what a dormancy takes at the start of `curve`, from which groups."""
    taken = {
        piece.group: lost
        for piece in curve.pieces
        if isinstance(piece, DormantPiece) and piece.dormancy == lull.dormancy
        if (lost := piece.lost(curve.start))
    }
    return Lost(lull, sum(taken.values()), tuple(taken))


def _dormant_reason(model: CompiledModel, lost: Lost, group: str) -> Reason:
    lull, locale = lost.lull, model.source.locale
    title = next(d.title for d in model.dormancies if d.name == lull.dormancy)
    return Reason(
        rule=lull.dormancy,
        group=group,
        points=round(lost.points, 2),
        text=_short_share(title, lull.share, locale),
        last_at=to_datetime(lull.since),
    )


def _reason(
    model: CompiledModel, state: LeadState, part: Part, group: str, points: float
) -> Reason:
    rule = model.by_name[part.rule]
    locale = model.source.locale
    memory = state.rules.get(rule.name) if rule.kind == "event" else None
    text, count, last_at = rule.title, 0, None
    if memory is not None:
        entries = counted(rule, memory)
        count = len(entries) + memory.base_count
        last_at = entries[-1][0] if entries else memory.base_at or None
        if count > 1:
            text = _short_times(text, count, locale)
    elif (value := _fact(rule, state)) is not None:
        text = _short_value(text, told_value(model, rule, value, locale), locale)
    return Reason(
        rule=rule.name,
        group=group,
        points=round(points, 2),
        text=text,
        last_at=None if last_at is None else to_datetime(last_at),
        count=count,
    )


# A sentence is the same for very many leads, and reasons are on the hottest path.
@lru_cache(maxsize=4_096)
def _short_times(title: str, count: int, locale: Locale) -> str:
    speech = SPEECH[locale]
    return speech.say("short.times", title=title, times=speech.times(count))


@lru_cache(maxsize=4_096)
def _short_value(title: str, value: str, locale: Locale) -> str:
    return SPEECH[locale].say("short.value", title=title, value=value)


@lru_cache(maxsize=4_096)
def _short_share(title: str, share: float, locale: Locale) -> str:
    speech = SPEECH[locale]
    return speech.say("short.share", title=title, share=speech.share(share))


@lru_cache(maxsize=4_096, typed=True)
def _spoken(value: str | float, locale: Locale) -> str:
    return SPEECH[locale].value(value)


def _fact(rule: CompiledRule, state: LeadState) -> Any:
    """Return the trait's value that a rule reads its points off, None for none."""
    if rule.trait_path is None or rule.kind != "trait":
        return None
    fact = state.traits.get(rule.trait_path)
    known = fact is not None and isinstance(fact.value, str | int | float)
    return fact.value if fact is not None and known else None


def told_value(
    model: CompiledModel, rule: CompiledRule, value: Any, locale: Locale
) -> str:
    """Return a trait's value as people read it; a stage by its title."""
    if rule.trait_path == "lifecycle_stage":
        stage = model.stages.get(str(value).casefold())
        if stage is not None and (title := said(stage.title, locale)):
            return title
    return _spoken(value, locale)


def _happened(rule: CompiledRule, memory: RuleState | None) -> _Evidence:
    """Return how often what a rule counts has happened, and when last."""
    if memory is None or rule.kind != "event":
        return _Evidence()
    entries = counted(rule, memory)
    last = entries[-1][0] if entries else memory.base_at or None
    whole = None
    if rule.read_amount is None or not memory.base_count:
        amount = 0.0
        for entry in entries:
            amount += entry[2]
        whole = (memory.base_count + amount) * rule.points
    return _Evidence(len(entries) + memory.base_count, last, whole)


def _missed(rule: CompiledRule, state: LeadState, at: Instant) -> _Evidence:
    """Return how often what a rule waited for did not come, and when last."""
    memory = state.rules.get(rule.name)
    if memory is None:
        return _Evidence()
    matches, _ = unmet(rule, memory, state.rules.get(rule.name + UNLESS), at)
    if not matches or memory.base:
        return _Evidence(last_at=matches[-1][0] if matches else None)
    return _Evidence(len(matches), matches[-1][0], sum([each for _, each in matches]))


def threshold_note(model: CompiledModel, alert: str, locale: Locale) -> str:
    """Return where an alert begins just now and why; empty where the text says so."""
    now = model.ref.thresholds.get(alert)
    if now is None:
        return ""
    usual = next(each.enter for each in model.base.alerts if each.name == alert)
    speech, decimals = SPEECH[locale], model.source.decimals
    return speech.say(
        "threshold.higher" if now > usual else "threshold.lower",
        alert=speech.name(alert),
        now=speech.figure(now, decimals),
        usual=speech.figure(usual, decimals),
    )


def ledger(curve: Curve) -> tuple[LedgerLine, ...]:
    """Return every contribution and every clipped amount; they sum to the score."""
    lines: list[LedgerLine] = []
    total = 0.0
    for piece, points in zip(curve.pieces, curve.points, strict=True):
        given = 0.0
        for part in piece.parts:
            raw = part.raw(curve.start)
            bounded = part.within(raw)
            given += bounded
            if raw:
                lines.append(LedgerLine(piece.group, part.rule, raw))
            if bounded != raw:
                lines.append(
                    LedgerLine(piece.group, part.rule, bounded - raw, "rule maximum")
                )
        clipped = piece.within(given) - given
        if clipped:
            note = "group cap" if clipped < 0 else "group floor"
            lines.append(LedgerLine(piece.group, "", clipped, note))
        if isinstance(piece, DormantPiece) and (lost := piece.lost(curve.start)):
            lines.append(LedgerLine(piece.group, piece.dormancy, lost, "dormancy"))
        total += points
    clipped = curve.exact() - total
    if clipped:
        note = "highest score" if clipped < 0 else "lowest score"
        lines.append(LedgerLine("", "", clipped, note))
    return tuple(lines)


def published_ledger(
    lines: tuple[LedgerLine, ...], score: float
) -> dict[str, dict[str, float]]:
    """Return `lines` as an update carries them: they sum to the published `score`.

    Lines of one rule are one: its points within its own maximum. A line without a
    rule goes under its note, whatever notes there are.
    """
    exact: dict[str, dict[str, float]] = {}
    for line in lines:
        group = exact.get(line.group)
        if group is None:
            group = exact[line.group] = {}
        key = line.rule or _clip(line.note)
        group[key] = group.get(key, 0.0) + line.points
    rest = score
    told: dict[str, dict[str, float]] = {}
    for name, group in exact.items():
        given = {}
        for key, points in group.items():
            if rounded := round(points, _DECIMALS):
                given[key] = rounded
                rest -= rounded
        if given:
            told[name] = given
    if rounding := round(rest, _DECIMALS):
        told.setdefault(WHOLE_SCORE, {})[ROUNDING] = rounding
    return told


@lru_cache(maxsize=64)
def _clip(note: str) -> str:
    return CLIP_MARK + note.replace(" ", "-")
