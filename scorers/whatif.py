"""What would make this lead gold: the events and facts that would lift the score.

Every answer is tried, not estimated: the event is added to a copy of the state and
the score is read, so caps, limits and the silence it would end are all in it.
"""

from collections.abc import Callable
from itertools import combinations, product
from typing import Final, assert_never, get_args

import msgspec
from msgspec.structs import replace

from schemas import vocabulary
from schemas.event import Event, EventType
from schemas.time import Instant, to_datetime
from scorers import masses, memory
from scorers import model as language
from scorers.compiled import CompiledModel
from scorers.compiled_rules import CompiledRule
from scorers.conditions import static_choices
from scorers.reading import curve_of
from scorers.state import LeadState, RuleState, TraitFact
from scorers.worth import Ladder, PerUnit, PointsSource, Table

_MOST_TOGETHER: Final = 3
_MOST_TRIED: Final = 12
_LEAST_GAIN: Final = 0.05
_ANYBODY: Final = {"id": "?", "user_id": "?", "occurred_at": to_datetime(0)}

_Change = Callable[[LeadState], LeadState]


class Option(msgspec.Struct, frozen=True):
    """One thing that could happen or be learnt, and what it alone would give."""

    rule: str
    group: str
    text: str
    points: float


class WayUp(msgspec.Struct, frozen=True):
    """How a lead could reach a score."""

    score: float
    target: float
    options: tuple[Option, ...]
    """Everything that would help, the strongest first."""
    plan: tuple[Option, ...]
    """The fewest, and among those the smallest, that reach it together."""
    reaches: float
    """The score after the plan; below `target` when nothing tried reaches it."""


def way_up(
    model: CompiledModel, state: LeadState, target: float, now: Instant
) -> WayUp:
    """Return what would lift the lead to `target` points at `now`."""
    state = memory.adopted(model, state)
    now = max(now, state.now)
    score = curve_of(model, state, now).published()
    tried = _tried(model, state, now)
    options = tuple(option for option, _ in tried)
    plan: tuple[Option, ...] = ()
    reaches = score
    for together in range(1, _MOST_TOGETHER + 1):
        if reaches >= target:
            break
        plans = []
        for chosen in combinations(tried[:_MOST_TRIED], together):
            changed = state
            for _, change in chosen:
                changed = change(changed)
            reached = curve_of(model, changed, now).published()
            plans.append((reached, tuple(option for option, _ in chosen)))
        enough = [item for item in plans if item[0] >= target]
        if enough:
            reaches, plan = min(enough, key=_reached)
        elif plans:
            reaches, plan = max([(reaches, plan), *plans], key=_reached)
    return WayUp(score, target, options, plan, reaches)


def _reached(plan: tuple[float, tuple[Option, ...]]) -> float:
    return plan[0]


def _tried(
    model: CompiledModel, state: LeadState, now: Instant
) -> list[tuple[Option, _Change]]:
    """Return everything that would lift the score by itself, strongest first."""
    exact = curve_of(model, state, now).exact()
    texts = [rule for group in model.source.groups.values() for rule in group.rules]
    tried = []
    for rule, text in zip(model.rules, texts, strict=True):
        change = _change_of(model, rule, text, state, now)
        if change is None:
            continue
        gain = curve_of(model, change(state), now).exact() - exact
        if gain >= _LEAST_GAIN:
            option = Option(rule.name, rule.group, rule.title, round(gain, 1))
            tried.append((option, change))
    tried.sort(key=lambda item: (-item[0].points, item[0].rule))
    return tried


def _change_of(
    model: CompiledModel,
    rule: CompiledRule,
    text: language.Rule,
    state: LeadState,
    now: Instant,
) -> _Change | None:
    """Return the change of state if this rule's good news came; None if none can."""
    points = text.points
    if rule.kind == "event":
        amount = 1.0 if isinstance(points, float) else _best(points)[1]
        if rule.points * amount <= 0:
            return None
        heard_on = _heard_on(model, text)
        return lambda lead: _with_match(rule, lead, amount, heard_on, now)
    if rule.kind != "trait" or isinstance(points, float) or rule.trait_path is None:
        return None
    value, amount = _best(points)
    path = rule.trait_path
    known = state.traits.get(path)
    if amount <= 0 or (known is not None and known.value is not None):
        return None  # what is known of a lead is not up for wishing
    fact = TraitFact(now, masses.hash64(f"what if {rule.name}"), value)
    return lambda lead: replace(lead, traits={**lead.traits, path: fact})


def _best(source: PointsSource) -> tuple[float | str, float]:
    """Return the value of a field that gives most, and how much it gives."""
    match source:
        case PerUnit():
            return source.max / source.points * source.per, source.max
        case Ladder():
            rung = max(source.ladder, key=lambda rung: rung.points)
            return rung.at, rung.points
        case Table():
            return max(source.values.items(), key=lambda item: item[1])
        case unknown:
            assert_never(unknown)


def _heard_on(model: CompiledModel, text: language.Rule) -> frozenset[str]:
    """Return the channels whose silence ends when an event matches the rule."""
    assert text.when is not None
    kinds = static_choices(text.when, "type") or {"track"}
    names = static_choices(text.when, "event") or {""}
    channels = static_choices(text.when, "channel")
    found = set()
    for kind, name in product(get_args(EventType), map(vocabulary.spell, names)):
        if kind not in kinds:
            continue
        for channel in channels or {vocabulary.channel_of(kind, name, {})}:
            data = {**_ANYBODY, "type": kind, "name": name, "channel": channel}
            event = msgspec.convert(data, Event)
            if model.is_activity(event):
                found.add(channel)
    return frozenset(found)


def _with_match(
    rule: CompiledRule,
    lead: LeadState,
    amount: float,
    heard_on: frozenset[str],
    now: Instant,
) -> LeadState:
    """Return the lead as if an event had matched the rule just now."""
    known = lead.rules.get(rule.name, RuleState())
    event_id = masses.hash64(f"what if {rule.name} {len(known.entries)}")
    kept = masses.add(rule, known, (now, event_id, amount, event_id), now)
    # What happens ends the silence there.
    active = {**lead.active, **dict.fromkeys(heard_on, ((now, event_id),))}
    return replace(lead, rules={**lead.rules, rule.name: kept}, active=active)
