"""Taking events out of a lead's state so that they can be put back, to the last bit."""

from schemas.event import CHANNELS
from schemas.time import Instant
from scorers import consent, masses
from scorers.compiled import CompiledModel
from scorers.facts import IDENTIFYING, latest_facts
from scorers.memory import (
    bounded_ids,
    forget,
    latest_events,
    latest_signs,
)
from scorers.reading import UNLESS
from scorers.state import MACHINE, MARKS, PASSIVE, Entry, Held, LeadState, TraitFact


def hold(
    model: CompiledModel, state: LeadState, ids: frozenset[int], now: Instant
) -> None:
    """Take back what the known events `ids` gave, as a machine's, and keep it."""
    entries = _entries(model, state, ids)
    facts = _facts(state, ids)
    words: dict[int, dict[str, bool]] = {}
    for about, said in state.consents.items():
        for word in said:
            if word.id in ids:
                words.setdefault(word.id, {})[about] = word.given
    recent = {item.id: item for item in state.recent}
    held = {
        known: Held(
            state.ids[known],
            tuple(entries.get(known, ())),
            tuple(facts.get(known, ())),
            recent.get(known),
            words.get(known, {}),
        )
        for known in sorted(ids)
    }
    forget(model, state, ids, now, mark=MACHINE)
    state.held = {**state.held, **held}


def release(
    model: CompiledModel, state: LeadState, event_id: int, now: Instant
) -> None:
    """Let an event count again that is held."""
    held = state.held[event_id]
    state.held = {known: it for known, it in state.held.items() if known != event_id}
    state.ids = bounded_ids({**state.ids, event_id: held.stamp})
    rules = dict(state.rules)
    for name, entry in held.entries:
        rule = model.by_name.get(name.removesuffix(UNLESS))
        if rule is not None:
            rules[name] = masses.add(rule, rules.get(name), entry, now)
    state.rules = rules
    at, mark = divmod(held.stamp, MARKS)
    if held.words:
        consent.heard(state, held.words, at, event_id)
    if state.consents or state.refused:
        consent.settle(model, state)
    for name, fact in held.facts:
        known = state.traits.get(name)
        before = state.former.get(name, ())
        facts = (*before, fact) if known is None else (*before, known, fact)
        latest, former = latest_facts(name, facts)
        state.traits = {**state.traits, name: latest}
        if former:
            state.former = {**state.former, name: former}
    state.first_at = min(state.first_at, at) if state.first_at else at
    if mark < PASSIVE:
        channel = CHANNELS[mark]
        signs = {*state.active.get(channel, ()), (at, event_id)}
        state.active = {**state.active, channel: latest_signs(signs)}
    if held.recent is not None:
        state.recent = latest_events((*state.recent, held.recent))


def _entries(
    model: CompiledModel, state: LeadState, ids: frozenset[int]
) -> dict[int, list[tuple[str, Entry]]]:
    found: dict[int, list[tuple[str, Entry]]] = {}
    for name, kept in state.rules.items():
        rule = model.by_name.get(name.removesuffix(UNLESS))
        if rule is not None and not rule.counts_machines:
            for entry in kept.entries:
                if entry[1] in ids:
                    found.setdefault(entry[1], []).append((name, entry))
    return found


def _facts(
    state: LeadState, ids: frozenset[int]
) -> dict[int, list[tuple[str, TraitFact]]]:
    found: dict[int, list[tuple[str, TraitFact]]] = {}
    for name, latest in state.traits.items():
        if name not in IDENTIFYING:
            for fact in (*state.former.get(name, ()), latest):
                if fact.id in ids:
                    found.setdefault(fact.id, []).append((name, fact))
    return found
