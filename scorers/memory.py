"""How a lead's state takes in an event: facts, signs of life, matches, ids.

These functions change the state they are given: the reducer passes its own draft.
Containers are replaced, never changed in place, so the draft's origin stays whole.
"""

from typing import Any, Final

from msgspec.structs import replace

from schemas.event import Event
from schemas.time import Instant, Millis
from scorers import masses
from scorers.compiled import CompiledModel, CompiledRule
from scorers.identity import derive_lead_id, is_legal, normalise_email
from scorers.reading import UNLESS
from scorers.state import (
    MAX_IDS,
    LeadState,
    Recent,
    RuleState,
    TraitFact,
)

_LONGEST_TEXT: Final = 256
_MOST_IDENTIFIERS: Final = 32
_MOST_RECENT: Final = 5
_SIGNS_KEPT: Final = 4

_FACT_EVENTS: Final = {
    "stage changed": (("lifecycle_stage", "stage"),),
    "budget stated": (("budget", "amount"), ("budget_currency", "currency")),
    "lead assigned": (("owner", "owner"),),
}
"""Events that state a trait: which trait, from which property."""

WORK_EVENTS: Final = frozenset(
    {
        "lead acknowledged",
        "meeting held",
        "call logged",
        "lead qualified",
        "lead disqualified",
        "deal won",
        "deal lost",
    }
)
"""What sales does with a lead: it answers an alert."""

_MOST_GAINS: Final = 64

_DETAILS: Final = (
    "path",
    "offer",
    "form",
    "product",
    "asset_id",
    "stage",
    "link_url",
    "url",
)


def born(event: Event) -> LeadState:
    """Return the empty state of the lead that `event` belongs to.

    Raises
    ------
    ValueError
        If no identifier of the event is legal.
    """
    lead_id = derive_lead_id(event)
    if lead_id is None:
        msg = "no legal identifier: the event belongs to nobody"
        raise ValueError(msg)
    return LeadState(lead_id=lead_id)


def trait_text(state: LeadState, name: str) -> str | None:
    """Return a trait as text, None where it is unknown."""
    fact = state.traits.get(name)
    if fact is None or fact.value is None or fact.value == "":
        return None
    return str(fact.value)


def adopted(model: CompiledModel, state: LeadState) -> LeadState:
    """Return `state` with its folds made by `model`: new points, new half-lives."""
    if state.model == model.digest:
        return state
    rules: dict[str, RuleState] = {}
    for name, kept in state.rules.items():
        rule = model.by_name.get(name)
        rules[name] = kept if rule is None else masses.refold(rule, kept)
    return replace(state, model=model.digest, rules=rules)


def learn(
    model: CompiledModel,
    state: LeadState,
    event: Event,
    event_id: int,
    now: Instant,
) -> None:
    """Take `event` into `state`, which is at `now`."""
    state.model = model.digest
    at = min(event.time, now)
    _remember_id(state, event_id, at)
    _identify(state, event)
    if event.properties.get("machine") is True:
        return  # seen, so that it is not counted later; it gives nothing
    state.first_at = min(state.first_at, at) if state.first_at else at
    _learn_traits(model, state, event, at, event_id)
    if model.is_activity(event):
        _sign_of_life(state, event.channel, at, event_id)
        _recall(state, event, at, event_id)
    if event.name.casefold() in WORK_EVENTS:
        state.worked_at = max(at, state.worked_at or at)
    rules = state.rules
    for rule in model.candidates(event):
        rules = _match(rule, rules, event, at, event_id, now)
    state.rules = rules


def backfill(
    model: CompiledModel,
    state: LeadState,
    event: Event,
    rules: frozenset[str],
    now: Instant,
) -> bool:
    """Let `rules` learn of an old `event`; say whether any of them took it in."""
    if event.properties.get("machine") is True:
        return False
    event_id = masses.hash64(event.id)
    at = min(event.time, now)
    known = state.rules
    for rule in model.candidates(event):
        if rule.name not in rules:
            continue
        names = (rule.name, rule.name + UNLESS)
        if not any(_has(known.get(name), event_id) for name in names):
            known = _match(rule, known, event, at, event_id, now)
    if known is state.rules:
        return False
    state.rules = known
    return True


def _has(kept: RuleState | None, event_id: int) -> bool:
    return kept is not None and any(entry[1] == event_id for entry in kept.entries)


def _match(
    rule: CompiledRule,
    rules: dict[str, RuleState],
    event: Event,
    at: Instant,
    event_id: int,
    now: Instant,
) -> dict[str, RuleState]:
    assert rule.matches is not None
    matched = rule.matches(event)
    if rule.kind == "event":
        if matched:
            entry = masses.entry_of(rule, event, at, event_id)
            if entry[2]:
                kept = masses.add(rule, rules.get(rule.name), entry, now)
                rules = {**rules, rule.name: kept}
        return rules
    assert rule.unless is not None
    key = 0 if rule.same is None else masses.key_of(rule.same(event))
    entry = (at, event_id, 1.0, key)
    for name, holds in (
        (rule.name, matched),
        (rule.name + UNLESS, rule.unless(event)),
    ):
        if holds:
            kept = masses.add(rule, rules.get(name), entry, now)
            rules = {**rules, name: kept}
    return rules


def _remember_id(state: LeadState, event_id: int, at: Instant) -> None:
    ids = {**state.ids, event_id: at}
    if len(ids) > MAX_IDS:
        # Oldest first by event time: what is kept does not depend on arrival.
        spare = sorted(ids, key=lambda known: (ids[known], known))
        for known in spare[: len(ids) - MAX_IDS]:
            del ids[known]
    state.ids = ids


def _identify(state: LeadState, event: Event) -> None:
    if event.email is not None and is_legal(event.email):
        state.emails = _with(state.emails, normalise_email(event.email))
    if event.user_id is not None and is_legal(event.user_id):
        state.user_ids = _with(state.user_ids, event.user_id.strip())
    if event.anonymous_id is not None and is_legal(event.anonymous_id):
        state.anonymous_ids = _with(state.anonymous_ids, event.anonymous_id.strip())


def _with(known: tuple[str, ...], identifier: str) -> tuple[str, ...]:
    if identifier in known:
        return known
    return tuple(sorted((*known, identifier)))[:_MOST_IDENTIFIERS]


def _learn_traits(
    model: CompiledModel,
    state: LeadState,
    event: Event,
    at: Instant,
    event_id: int,
) -> None:
    learnt: dict[str, Any] = {
        name: value for name, value in event.traits.items() if name in model.kept_traits
    }
    for trait, source in _FACT_EVENTS.get(event.name.casefold(), ()):
        if source in event.properties:
            learnt[trait] = event.properties[source]
    if event.email is not None and "@" in event.email:
        # Free-mail and competitor rules read it; the address itself is no trait.
        learnt["email_domain"] = normalise_email(event.email).rpartition("@")[2]
    if not learnt:
        return
    traits = dict(state.traits)
    for name, value in learnt.items():
        known = traits.get(name)
        if known is None or (known.at, known.id) < (at, event_id):
            traits[name] = TraitFact(at, event_id, _bounded(value))
    state.traits = traits


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
            str(key)[:_LONGEST_TEXT]: item
            for key, item in list(value.items())[:_MOST_IDENTIFIERS]
            if isinstance(item, str | int | float | bool) or item is None
        }
    return str(value)[:_LONGEST_TEXT]


def _sign_of_life(state: LeadState, channel: str, at: Instant, event_id: int) -> None:
    signs = state.active.get(channel, ())
    sign = (at, event_id)
    if len(signs) == _SIGNS_KEPT and sign < signs[0]:
        return
    kept = (*signs, sign) if not signs or signs[-1] < sign else sorted((*signs, sign))
    state.active = {**state.active, channel: tuple(kept)[-_SIGNS_KEPT:]}


def _recall(state: LeadState, event: Event, at: Instant, event_id: int) -> None:
    if len(state.recent) == _MOST_RECENT and at < state.recent[0].at:
        return
    detail = next(
        (str(event.properties[key]) for key in _DETAILS if event.properties.get(key)),
        "",
    )
    name = event.name or event.type.capitalize()
    recent = Recent(at, event_id, name[:80], event.channel, detail[:120])
    ordered = sorted((*state.recent, recent), key=lambda item: (item.at, item.id))
    state.recent = tuple(ordered[-_MOST_RECENT:])


def gain(
    state: LeadState, now: Instant, event_id: int, points: float, window: Millis
) -> None:
    """Remember the points that an event gave, as long as a surge may read them."""
    if points > 0:
        kept = [item for item in state.gains if item[0] > now - window]
        state.gains = tuple([*kept, (now, event_id, points)][-_MOST_GAINS:])


def gained(state: LeadState, since: Instant) -> float:
    """Return the points that events gave after `since`."""
    return sum(points for at, _, points in state.gains if at > since)


def forget(model: CompiledModel, state: LeadState, ids: frozenset[int]) -> None:
    """Withdraw the events `ids` from everything they had a part in."""
    rules = {}
    for name, kept in state.rules.items():
        rule = model.by_name.get(name.removesuffix(UNLESS))
        rules[name] = kept if rule is None else masses.withdraw(rule, kept, ids)
    state.rules = rules
    state.active = {
        channel: tuple(sign for sign in signs if sign[1] not in ids)
        for channel, signs in state.active.items()
    }
    state.recent = tuple(item for item in state.recent if item.id not in ids)
    state.gains = tuple(item for item in state.gains if item[1] not in ids)
    state.traits = {
        name: fact for name, fact in state.traits.items() if fact.id not in ids
    }
