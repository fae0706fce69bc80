"""Reading a state at an instant: each rule's value, the curve and the score.

Caps are applied here, when the score is read: rule bound, then group, then what a
dormancy leaves of the group, then total.
"""

from collections.abc import Iterable, Mapping
from operator import itemgetter

from schemas.time import Instant
from scorers.compiled import CompiledModel
from scorers.compiled_rules import CompiledDormancy, CompiledRule
from scorers.curve import NEVER, Curve, DormantPiece, Lull, Part, Piece
from scorers.decay import Linear, Stepped
from scorers.masses import SETTLED, counted, is_silenced, met_in_time
from scorers.state import LeadState, RuleState

UNLESS = "/unless"
"""Suffix of the name under which an absence rule remembers what it waits for."""


def curve_of(model: CompiledModel, state: LeadState, at: Instant) -> Curve:
    """Return the score's curve from `at` (≥ the state's last event) on."""
    until = NEVER
    pieces: list[Piece] = []
    kept = state.rules
    given = model.trait_parts(state.traits)
    for group in model.groups:
        known = given.get(group.name)
        parts = [] if known is None else known.copy()
        for rule in group.remembered:
            if rule.name in kept:
                _add(parts, _remembered_part(rule, kept, at))
        for rule in group.silences:
            _add(parts, _silence_part(rule, state, at))
        if parts:
            until = min(until, _first_break(parts))
            pieces.append(Piece(group.name, group.cap, group.floor, parts))
    if state.refused or model.traffic.knows_staff:
        pieces = _allowed(model, state, pieces)
    return _curve(model, state, at, until, pieces)


def onward(model: CompiledModel, state: LeadState, curve: Curve) -> Curve:
    """Return the curve that follows where `curve`, of the same state, ends.

    What does not break there is not read again.
    """
    at = curve.until
    until = NEVER
    pieces: list[Piece] = []
    for piece in curve.pieces:
        first = _first_break(piece.parts)
        following = piece
        if first <= at:
            following = _piece_onward(model, state, piece, at)
            if not following.parts:
                continue
            first = _first_break(following.parts)
        elif piece.__class__ is not Piece:  # whether it is dormant is asked anew
            following = Piece(piece.group, piece.cap, piece.floor, piece.parts)
        until = min(until, first)
        pieces.append(following)
    return _curve(model, state, at, until, pieces)


def _add(parts: list[Part], part: Part | None) -> None:
    if part is not None:
        parts.append(part)


def _first_break(parts: list[Part]) -> Instant:
    first = NEVER
    for part in parts:
        if part.until < first:
            first = part.until
    return first


def _piece_onward(
    model: CompiledModel, state: LeadState, piece: Piece, at: Instant
) -> Piece:
    """Return a group from `at` on, where one of its rules breaks."""
    parts = [
        part
        for old in piece.parts
        if (part := old if old.until > at else _renewed(model, state, old, at))
        is not None
    ]
    return Piece(piece.group, piece.cap, piece.floor, parts)


def _renewed(
    model: CompiledModel, state: LeadState, part: Part, at: Instant
) -> Part | None:
    """Return what a rule gives from `at` on, where its `part` ends."""
    rule = model.by_name[part.rule]
    if rule.kind == "silence":
        return _silence_part(rule, state, at)
    return _remembered_part(rule, state.rules, at)


def _curve(
    model: CompiledModel,
    state: LeadState,
    at: Instant,
    until: Instant,
    pieces: list[Piece],
) -> Curve:
    if not model.dormancies or not state.first_at:
        return Curve(at, until, model.ceiling, model.scale, pieces)
    lulls = tuple([_lull(dormancy, state, at) for dormancy in model.dormancies])
    until = min(until, *[lull.until for lull in lulls])
    pieces = _quieted(model, pieces, lulls)
    return Curve(at, until, model.ceiling, model.scale, pieces, lulls=lulls)


def _allowed(
    model: CompiledModel, state: LeadState, pieces: list[Piece]
) -> list[Piece]:
    """Return what counts without consent to what is refused; of staff, nothing."""
    held_back = model.held_back(state.refused)
    if held_back is None or model.traffic.is_staff(state.emails):
        return []
    if not held_back:
        return pieces
    left = [
        Piece(
            piece.group,
            piece.cap,
            piece.floor,
            [part for part in piece.parts if part.rule not in held_back],
        )
        for piece in pieces
    ]
    return [piece for piece in left if piece.parts]


def _remembered_part(
    rule: CompiledRule, kept: Mapping[str, RuleState], at: Instant
) -> Part | None:
    memory = kept[rule.name]
    if rule.kind == "absence":
        return _absence_part(rule, memory, kept.get(rule.name + UNLESS), at)
    if rule.folds:
        if not memory.mass:
            return None
        return _folded_part(rule, memory.mass * rule.points, memory.mass_at)
    matches = [
        (when, amount * rule.points) for when, _, amount, _ in counted(rule, memory)
    ]
    return _finite_part(rule, matches, at)


def _folded_part(rule: CompiledRule, points: float, since: Instant) -> Part:
    """Return the value of points that count from `since`: they halve, or stay."""
    if rule.half_life is None:
        return Part(rule.name, rule.bound, points)
    return Part(rule.name, rule.bound, 0.0, points, rule.half_life, 0.0, since)


def _finite_part(
    rule: CompiledRule, matches: list[tuple[Instant, float]], at: Instant
) -> Part | None:
    """Return the value of matches that fade over a finite age, or in steps."""
    decay = rule.decay
    const = slope = 0.0
    until = NEVER
    if isinstance(decay, Stepped):
        for when, points in matches:
            age = at - when
            const += points * decay.kept(age)
            if (step := decay.next_step(age)) is not None:
                until = min(until, when + step)
        if not const and until == NEVER:
            return None
        return Part(rule.name, rule.bound, const=const, until=until)
    assert isinstance(decay, Linear)
    span = decay.span
    live = [match for match in matches if at - match[0] < span]
    if not live:
        return None
    # All ages count from the oldest match that is left: from wherever one looks,
    # the value at an instant is the same sum.
    origin = live[0][0]
    for when, points in live:
        const += points * (1.0 + (when - origin) / span)
        slope -= points / span
    return Part(
        rule.name,
        rule.bound,
        const=const,
        slope=slope,
        since=origin,
        until=origin + span,
    )


def last_activity(state: LeadState, channels: Iterable[str]) -> Instant:
    """Return when the lead was last active on `channels`; first seen if never."""
    latest, active = state.first_at, state.active
    for channel in channels:
        seen = active.get(channel)
        if seen:
            at = seen[-1][0]
            if at > latest:
                latest = at
    return latest


def _silence_part(rule: CompiledRule, state: LeadState, at: Instant) -> Part | None:
    if not state.first_at:
        return None
    first = last_activity(state, rule.silent_on) + rule.first
    if at < first:
        return Part(rule.name, rule.bound, until=first)
    steps, until = 1, NEVER
    if rule.then is not None:
        steps += (at - first) // rule.then
        if steps * abs(rule.points) < rule.bound:
            until = first + steps * rule.then
    return Part(rule.name, rule.bound, const=steps * rule.points, until=until)


def _lull(dormancy: CompiledDormancy, state: LeadState, at: Instant) -> Lull:
    since = last_activity(state, dormancy.silent_on)
    first = since + dormancy.first
    if at < first:
        return Lull(dormancy.name, 1.0, since, first)
    steps = 1
    if dormancy.then is not None:
        steps += (at - first) // dormancy.then
    share = max(dormancy.factor**steps, dormancy.floor)
    until = NEVER
    if dormancy.then is not None and share > dormancy.floor:
        until = first + steps * dormancy.then
    return Lull(dormancy.name, share, since, until)


def _quieted(
    model: CompiledModel, pieces: list[Piece], lulls: tuple[Lull, ...]
) -> list[Piece]:
    """Return the groups with those that are dormant as such."""
    of_group = {
        group: lull
        for dormancy, lull in zip(model.dormancies, lulls, strict=True)
        for group in dormancy.groups
        if lull.share < 1.0
    }
    return [
        piece
        if (lull := of_group.get(piece.group)) is None
        else DormantPiece(
            piece.group, piece.cap, piece.floor, piece.parts, lull.share, lull.dormancy
        )
        for piece in pieces
    ]


def unmet(
    rule: CompiledRule, memory: RuleState, waits: RuleState | None, at: Instant
) -> tuple[list[tuple[Instant, float]], Instant]:
    """Return when what was expected had not come, with the points, in order of time.

    The instant beside them is when the next of what is still expected is due.
    """
    met = met_in_time(rule, waits)
    matches: list[tuple[Instant, float]] = []
    until = NEVER
    if memory.base:
        matches.append((memory.base_at + rule.within, memory.base * rule.points))
    for entry in memory.entries:
        deadline = entry[0] + rule.within
        if entry[3] != SETTLED and (met(entry) or is_silenced(memory, entry)):
            continue
        if deadline > at:
            until = min(until, deadline)
        else:
            matches.append((deadline, entry[2] * rule.points))
    if memory.base:  # of a merged lead it may be later than what is kept
        matches.sort(key=itemgetter(0))
    return matches, until


def _absence_part(
    rule: CompiledRule, memory: RuleState, waits: RuleState | None, at: Instant
) -> Part | None:
    """Return the value of what was expected and did not come in time."""
    matches, until = unmet(rule, memory, waits, at)
    part: Part | None = None
    decay = rule.decay
    if not rule.folds:
        part = _finite_part(rule, matches, at)
    elif matches:
        points = 0.0
        anchor = matches[-1][0]
        for when, each in matches:
            points += each * decay.kept(anchor - when)
        part = _folded_part(rule, points, anchor)
    if part is None:
        return Part(rule.name, rule.bound, until=until) if until < NEVER else None
    part.until = min(part.until, until)
    return part


def group_points(curve: Curve, model: CompiledModel) -> dict[str, float]:
    """Return the points of every group after caps, at the start of the curve."""
    points = {group.name: 0.0 for group in model.groups}
    for piece, each in zip(curve.pieces, curve.points, strict=True):
        points[piece.group] = each
    return points
