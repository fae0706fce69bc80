"""Two states of one person as one: what a lead with all their events would hold.

Merging is commutative and associative, and an event that both know counts once. Only
the lead's own name, numbers and last published words are those of the one that keeps
them. What each keeps one by one merges exactly. What a side has folded (the oldest
beyond 128 matches of one rule, scorers/masses.py) is added as a mass: exact where the
rule has no limit; where both sides had folded matches of one window of a limit, up to
a window's worth may count that one lead would have refused.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from schemas.time import Instant
from scorers import belonging, consent, judging, masses, memory
from scorers.alert_merging import merged_alerts
from scorers.compiled import CompiledModel
from scorers.compiled_rules import CompiledRule
from scorers.facts import latest_facts
from scorers.linking import MAX_ABSORBED
from scorers.reading import UNLESS
from scorers.state import (
    MACHINE,
    MARKS,
    WITHDRAWN,
    Absorption,
    Entry,
    LeadState,
    Rank,
    RuleState,
    TraitFact,
)

_NOTHING = RuleState()


def merged(
    model: CompiledModel, kept: LeadState, other: LeadState, now: Instant
) -> LeadState:
    """Return `kept` with everything that `other` knows, both folded by `model`."""
    kept, other = memory.adopted(model, kept), memory.adopted(model, other)
    whole = copy.copy(kept)
    whole.now = max(kept.now, other.now, now)
    whole.first_at = min(filter(None, (kept.first_at, other.first_at)), default=0)
    whole.consents = consent.united(kept, other)
    refused = consent.times_refused(model, whole)
    whole.rules = _rules(model, kept, other, whole.now, refused)
    whole.active = {
        channel: memory.latest_signs(
            {*kept.active.get(channel, ()), *other.active.get(channel, ())}
        )
        for channel in sorted({*kept.active, *other.active})
    }
    _merge_facts(whole, kept, other)
    whole.alerts = merged_alerts(model, kept, other)
    whole.recent = memory.latest_events(
        {item.id: item for item in (*other.recent, *kept.recent)}.values()
    )
    whole.emails = memory.bounded_names({*kept.emails, *other.emails})
    whole.user_ids = memory.bounded_names({*kept.user_ids, *other.user_ids})
    whole.anonymous_ids = memory.bounded_names(
        {*kept.anonymous_ids, *other.anonymous_ids}
    )
    whole.gains = memory.latest_gains(_by_id(kept.gains, other.gains))
    whole.signs = belonging.latest_signs(_by_id(kept.signs, other.signs))
    whole.days = belonging.merged_days(kept.days, other.days)
    whole.worked_at = max(filter(None, (kept.worked_at, other.worked_at)), default=None)
    whole.member_sequence = max(kept.member_sequence, other.member_sequence)
    whole.absorbed = _absorbed(kept.absorbed, other.absorbed)
    whole.taught = _taught(kept, other)
    _merge_ids(model, whole, kept.ids, other.ids)
    consent.settle(model, whole)
    judging.unite(model, whole, kept, other)
    return whole


def _by_id(*sides: Iterable[tuple[Instant, int, float]]) -> list[Any]:
    """Return what both sides remember of events, each event once."""
    found: dict[int, tuple[Instant, int, float]] = {}
    for item in sorted(item for side in sides for item in side):
        found.setdefault(item[1], item)
    return sorted(found.values())


def _absorbed(
    one: tuple[Absorption, ...], other: tuple[Absorption, ...]
) -> tuple[Absorption, ...]:
    return tuple(sorted({*one, *other})[-MAX_ABSORBED:])


def _taught(kept: LeadState, other: LeadState) -> dict[str, dict[str, int]]:
    """Return how far backfills came with both; what comes by `other` counts apart."""
    taught = dict(kept.taught)
    for backfill, places in other.taught.items():
        came_by = {f"{topic}/{other.lead_id}": at for topic, at in places.items()}
        taught[backfill] = {**came_by, **taught.get(backfill, {})}
    return taught


# ── event ids ───────────────────────────────────────────────────────────────────


def _merge_ids(
    model: CompiledModel,
    whole: LeadState,
    one: Mapping[int, int],
    other: Mapping[int, int],
) -> None:
    """Unite the event ids; what one side withdrew, the other's share of it goes, too.

    Where the two sides marked an event differently, the higher mark counts.
    """
    ids = {**one, **other}
    disputed: dict[int, set[int]] = {MACHINE: set(), WITHDRAWN: set()}
    for known in one.keys() & other.keys():
        first, second = one[known], other[known]
        mark = max(first % MARKS, second % MARKS)
        ids[known] = min(first // MARKS, second // MARKS) * MARKS + mark
        if mark >= MACHINE and first % MARKS != second % MARKS:
            disputed[mark].add(known)
    whole.ids = memory.bounded_ids(ids)
    for mark, events in disputed.items():
        if events:
            memory.forget(model, whole, frozenset(events), whole.now, mark=mark)


# ── rules ───────────────────────────────────────────────────────────────────────


def _rules(
    model: CompiledModel,
    one: LeadState,
    other: LeadState,
    now: Instant,
    refused: consent.TimesRefused,
) -> dict[str, RuleState]:
    rules: dict[str, RuleState] = {}
    for name in [*one.rules, *(name for name in other.rules if name not in one.rules)]:
        mine, theirs = one.rules.get(name, _NOTHING), other.rules.get(name, _NOTHING)
        rule = model.by_name.get(name.removesuffix(UNLESS))
        united = _united(
            rule,
            _unfolded_by(mine, theirs, other.ids),
            _unfolded_by(theirs, mine, one.ids),
        )
        if rule is not None and name == rule.name:
            silenced = consent.silence_of(rule, refused)
            united = replace(united, silenced=silenced)
        if rule is not None and rule.kind != "absence":
            united = masses.bounded(rule, masses.refold(rule, united), now)
        rules[name] = united
    for rule in model.rules:
        waits = rules.get(rule.name + UNLESS)
        if rule.kind == "absence" and (rule.name in rules or waits is not None):
            kept, waits = masses.bound_absence(
                rule, rules.get(rule.name, _NOTHING), waits or _NOTHING, now
            )
            if kept.entries or kept.base_count:
                rules[rule.name] = kept
            if waits.entries:
                rules[rule.name + UNLESS] = waits
    return rules


def _unfolded_by(
    state: RuleState, there: RuleState, known: Mapping[int, int]
) -> RuleState:
    """Return `state` without the matches that `there` has folded: it counts them."""
    if not there.base_count:
        return state
    single = {entry[1] for entry in there.entries}
    entries = tuple(
        entry for entry in state.entries if entry[1] not in known or entry[1] in single
    )
    return (
        state if len(entries) == len(state.entries) else replace(state, entries=entries)
    )


def _united(rule: CompiledRule | None, one: RuleState, other: RuleState) -> RuleState:
    """Return both memories as one; its mass is not folded yet."""
    base, base_at = one.base, one.base_at
    if other.base_count:
        base, base_at = other.base, other.base_at
        if one.base_count and rule is not None:
            # The earlier one first, whichever side it is on: sums do not hang on it.
            first, last = sorted(((one.base_at, one.base), (other.base_at, other.base)))
            base, base_at = masses.joined(rule, first[1], first[0], last[1], last[0])
    return RuleState(
        entries=_entries(one.entries, other.entries),
        base=base,
        base_at=base_at,
        base_count=one.base_count + other.base_count,
        ranks=_ranks(one.ranks, other.ranks),
    )


def _entries(one: tuple[Entry, ...], other: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the matches of both in order, each event's once.

    Those without an id stand for several (scorers/masses.py) and are all kept.
    """
    if not one or not other:
        return one or other
    found: list[Entry] = []
    met: set[int] = set()
    for entry in sorted((*one, *other)):
        if entry[1] and entry[1] in met:
            continue
        met.add(entry[1])
        found.append(entry)
    return tuple(found)


def _ranks(one: tuple[Rank, ...], other: tuple[Rank, ...]) -> tuple[Rank, ...]:
    if not one or not other:
        return one or other
    met: masses.Ranks = {}
    for key, window, rank in (*one, *other):
        met[key, window] = met.get((key, window), 0) + rank
    return masses.latest(met)


def unfolded(state: LeadState) -> LeadState:
    """Return `state` with only what it keeps one by one: that can be merged again."""
    return replace(
        state,
        rules={
            name: replace(
                kept,
                entries=tuple(entry for entry in kept.entries if entry[1]),
                base=0.0,
                base_at=0,
                base_count=0,
                ranks=(),
            )
            for name, kept in state.rules.items()
        },
        model="",
    )


# ── facts ───────────────────────────────────────────────────────────────────────


def _merge_facts(whole: LeadState, one: LeadState, other: LeadState) -> None:
    """Keep each trait's latest fact by event time, and those before it."""
    traits: dict[str, TraitFact] = {}
    former: dict[str, tuple[TraitFact, ...]] = {}
    for name in [
        *one.traits,
        *(name for name in other.traits if name not in one.traits),
    ]:
        facts: dict[tuple[Instant, int], TraitFact] = {}
        for side in (other, one):
            known = side.former.get(name, ())
            latest = side.traits.get(name)
            for fact in known if latest is None else (*known, latest):
                facts[fact.at, fact.id] = fact
        traits[name], before = latest_facts(name, facts.values())
        if before:
            former[name] = before
    whole.traits, whole.former = traits, former
