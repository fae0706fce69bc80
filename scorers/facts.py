"""What a lead's state knows of a person's traits, and what it falls back on.

These functions change the state they are given (`scorers.memory`).
"""

from collections.abc import Iterable
from typing import Any, Final

from schemas.event import Event
from schemas.time import Instant
from scorers.compiled import CompiledModel
from scorers.state import LeadState, TraitFact

_LONGEST_TEXT: Final = 256
_MOST_ITEMS: Final = 32
_FORMER_KEPT: Final = 2

IDENTIFYING: Final = frozenset({"email_domain"})
"""Traits that are told by an identifier; withdrawing an event leaves them."""

_FACT_EVENTS: Final = {
    "stage changed": (("lifecycle_stage", "stage"),),
    "budget stated": (("budget", "amount"), ("budget_currency", "currency")),
    "lead assigned": (("owner", "owner"),),
}
"""Events that state a trait: which trait, from which property."""


def trait_text(state: LeadState, name: str) -> str | None:
    """Return a trait as text, None where it is unknown."""
    fact = state.traits.get(name)
    if fact is None or fact.value is None or fact.value == "":
        return None
    return str(fact.value)


def stated_traits(event: Event) -> dict[str, Any]:
    """Return the traits that an event states, by its traits or by what it is."""
    return {**event.traits, **_told_by_name(event)}


def _told_by_name(event: Event) -> dict[str, Any]:
    """Return the traits that an event states by what it is."""
    return {
        trait: event.properties[source]
        for trait, source in _FACT_EVENTS.get(event.name.casefold(), ())
        if source in event.properties
    }


def learn_traits(
    model: CompiledModel,
    state: LeadState,
    event: Event,
    at: Instant,
    event_id: int,
    *,
    only: frozenset[str] | None = None,
) -> None:
    """Take in what the event says of the traits that are kept, or `only` of some."""
    kept = model.kept_traits if only is None else only
    learnt: dict[str, Any] = {
        name: value for name, value in event.traits.items() if name in kept
    }
    if only is None:
        learnt |= _told_by_name(event)
    for name, value in learnt.items():
        learn_fact(state, name, TraitFact(at, event_id, _bounded(value)))


def learn_fact(state: LeadState, name: str, fact: TraitFact) -> None:
    """Keep the latest fact of a trait, and the ones before it to fall back on."""
    known = state.traits.get(name)
    if known is None:
        state.traits = {**state.traits, name: fact}
        return
    latest, former = latest_facts(name, (*state.former.get(name, ()), known, fact))
    if latest is fact:
        state.traits = {**state.traits, name: fact}
    if former:
        state.former = {**state.former, name: former}


def latest_facts(
    name: str, facts: Iterable[TraitFact]
) -> tuple[TraitFact, tuple[TraitFact, ...]]:
    """Return the latest of a trait's facts, and those before it that are kept."""
    *before, latest = sorted(facts, key=_order)
    return latest, () if name in IDENTIFYING else tuple(before[-_FORMER_KEPT:])


def _order(fact: TraitFact) -> tuple[Instant, int]:
    return (fact.at, fact.id)


def _bounded(value: object) -> object:
    """Return a trait's value as far as it is kept: plain, and not too long."""
    if isinstance(value, str):
        return value[:_LONGEST_TEXT]
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else float(value)
    if isinstance(value, dict):
        return {
            str(key)[:_LONGEST_TEXT]: _bounded(item)
            for key, item in list(value.items())[:_MOST_ITEMS]
            if isinstance(item, str | int | float | bool) or item is None
        }
    return str(value)[:_LONGEST_TEXT]


def forget_facts(state: LeadState, ids: frozenset[int]) -> None:
    """Fall back on the facts before those of the withdrawn events `ids`."""
    former = {}
    traits = {}
    for name, latest in state.traits.items():
        facts = [
            fact
            for fact in (*state.former.get(name, ()), latest)
            if fact.id not in ids or name in IDENTIFYING
        ]
        if facts:
            traits[name] = facts[-1]
        if facts[:-1]:
            former[name] = tuple(facts[:-1])
    state.traits, state.former = traits, former
