"""What changed since an earlier instant: the same lead read twice, rule by rule."""

from typing import Final

import msgspec
from msgspec.structs import replace

from schemas.time import Instant
from scorers import masses, memory
from scorers.compiled import CompiledModel
from scorers.compiled_rules import CompiledDormancy, CompiledRule
from scorers.curve import Curve
from scorers.explain import lost_to
from scorers.reading import UNLESS, curve_of
from scorers.state import LeadState

_LEAST: Final = 0.05


class Change(msgspec.Struct, frozen=True):
    """How much one rule gives more (or less) than it did, or a dormancy takes."""

    rule: str
    group: str
    """Empty for a dormancy, which may be about several."""
    text: str
    before: float
    after: float

    @property
    def points(self) -> float:
        """The difference, in points before group caps; of a dormancy after them."""
        return round(self.after - self.before, 2)


class Changes(msgspec.Struct, frozen=True):
    """Two readings of one lead, and what lies between them."""

    since: Instant
    until: Instant
    before: float
    after: float
    changes: tuple[Change, ...]
    """The largest first, whatever the sign."""


def as_it_was(model: CompiledModel, state: LeadState, at: Instant) -> LeadState:
    """Return the lead without what happened after `at` (event time).

    A trait that was learnt later is unknown there: its former value is not kept.
    """
    rules = {}
    for name, kept in memory.adopted(model, state).rules.items():
        rule = model.by_name.get(name.removesuffix(UNLESS))
        if rule is None:
            continue
        entries = tuple(entry for entry in kept.entries if entry[0] <= at)
        rules[name] = masses.refold(rule, replace(kept, entries=entries))
    return replace(
        state,
        model=model.digest,
        rules=rules,
        active={
            channel: tuple(sign for sign in signs if sign[0] <= at)
            for channel, signs in state.active.items()
        },
        traits={name: fact for name, fact in state.traits.items() if fact.at <= at},
    )


def changes_since(
    model: CompiledModel, state: LeadState, since: Instant, now: Instant
) -> Changes:
    """Return what changed between `since` and `now`."""
    state = memory.adopted(model, state)
    now = max(now, state.now)
    then = curve_of(model, as_it_was(model, state, since), since)
    today = curve_of(model, state, now)
    unborn = not state.first_at or state.first_at > since
    before = {} if unborn else _by_rule(then)
    after = _by_rule(today)
    found = []
    causes: list[CompiledRule | CompiledDormancy] = [*model.rules, *model.dormancies]
    for rule in causes:
        was, now_is = before.get(rule.name, 0.0), after.get(rule.name, 0.0)
        if abs(now_is - was) >= _LEAST:
            group = rule.group if isinstance(rule, CompiledRule) else ""
            found.append(
                Change(rule.name, group, rule.title, round(was, 2), round(now_is, 2))
            )
    found.sort(key=lambda change: (-abs(change.points), change.rule))
    return Changes(
        since=since,
        until=now,
        before=0.0 if unborn else then.published(),
        after=today.published(),
        changes=tuple(found),
    )


def _by_rule(curve: Curve) -> dict[str, float]:
    points = {
        part.rule: part.at(curve.start)
        for piece in curve.pieces
        for part in piece.parts
    }
    for lull in curve.lulls:
        points[lull.dormancy] = lost_to(lull, curve).points
    return points
