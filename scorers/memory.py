"""How a lead's state takes in an event: signs of life, matches, ids.

These functions change the state they are given: the reducer passes its own draft.
Containers are replaced, never changed in place, so the draft's origin stays whole.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from schemas.event import CHANNELS, Event
from schemas.time import Instant, Millis
from scorers import consent, masses
from scorers.compiled import CompiledModel
from scorers.compiled_rules import CompiledRule
from scorers.facts import forget_facts, learn_fact, learn_traits
from scorers.identity import derive_lead_id, is_legal, normalise, normalise_email
from scorers.reading import UNLESS
from scorers.state import (
    MACHINE,
    MARKS,
    MAX_IDS,
    PASSIVE,
    WITHDRAWN,
    Gain,
    LeadState,
    Recent,
    RuleState,
    Seen,
    Stamp,
    TraitFact,
)

_MOST_IDENTIFIERS: Final = 32
_MOST_RECENT: Final = 5
_SIGNS_KEPT: Final = 4
_BACKFILLS_KEPT: Final = 4

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


def adopted(model: CompiledModel, state: LeadState) -> LeadState:
    """Return `state` with its folds made by `model`: new points, new half-lives."""
    if state.model == model.digest:
        return state
    rules: dict[str, RuleState] = {}
    for name, kept in state.rules.items():
        rule = model.by_name.get(name)
        rules[name] = kept if rule is None else masses.refold(rule, kept)
    state = replace(state, model=model.digest, rules=rules)
    consent.settle(model, state)
    return state


def learn(
    model: CompiledModel,
    state: LeadState,
    event: Event,
    event_id: int,
    now: Instant,
    *,
    machine: bool = False,
) -> None:
    """Take `event` into `state`, which is at `now`; of a `machine` only who it is."""
    fresh = state.model != model.digest
    state.model = model.digest
    at = min(event.time, now)
    _identify(state, event, at, event_id)
    if machine:
        _learn_of_machine(model, state, event, (at, event_id), now)
        if fresh or state.consents or state.refused:
            consent.settle(model, state)
        return
    words = consent.words_of(event)
    if words:
        consent.heard(state, words, at, event_id)
    state.first_at = min(state.first_at, at) if state.first_at else at
    learn_traits(model, state, event, at, event_id)
    if model.is_activity(event):
        _remember_id(state, event_id, at, CHANNELS.index(event.channel))
        _sign_of_life(state, event.channel, at, event_id)
        _recall(state, event, at, event_id)
    else:
        _remember_id(state, event_id, at, PASSIVE)
    if event.name.casefold() in WORK_EVENTS:
        state.worked_at = max(at, state.worked_at or at)
    rules = state.rules
    for rule in model.candidates(event):
        rules = _match(rule, rules, event, (at, event_id), now)
    state.rules = rules
    if words or fresh or state.consents or state.refused:
        consent.settle(model, state)


def _learn_of_machine(
    model: CompiledModel, state: LeadState, event: Event, seen: Seen, now: Instant
) -> None:
    """Note a machine's event as seen; only rules that ask for it count it."""
    _remember_id(state, seen[1], seen[0], MACHINE)
    if model.counts_machines:
        rules = state.rules
        for rule in model.candidates(event):
            if rule.counts_machines:
                rules = _match(rule, rules, event, seen, now)
        state.rules = rules


def backfill(
    model: CompiledModel,
    state: LeadState,
    event: Event,
    rules: frozenset[str],
    now: Instant,
    *,
    traits: frozenset[str],
) -> bool:
    """Let `rules` learn of an old `event`; say whether any of them took it in.

    `traits` are those that no rule read before: what the event says of them counts.
    """
    event_id = masses.hash64(event.id)
    mark = state.ids.get(event_id, PASSIVE) % MARKS
    if mark == WITHDRAWN:
        return False
    machine = mark == MACHINE or model.traffic.judge(event) is not None
    at = min(event.time, now)
    facts = state.traits, state.former
    if not machine:
        learn_traits(model, state, event, at, event_id, only=traits)
    known = state.rules
    for rule in model.candidates(event):
        if rule.name not in rules or (machine and not rule.counts_machines):
            continue
        names = (rule.name, rule.name + UNLESS)
        if not any(_has(known.get(name), event_id) for name in names):
            known = _match(rule, known, event, (at, event_id), now)
    if known is state.rules:
        return facts != (state.traits, state.former)
    state.rules = known
    if state.consents or state.refused:
        consent.settle(model, state)
    return True


def taught_before(state: LeadState, backfill: str, topic: str, offset: int) -> bool:
    """Say whether this backfill came this far already; note that it does now.

    Matches that were folded into a mass have no id any more, so a backfill that is
    run again must be known by its place.
    """
    places = state.taught.get(backfill, {})
    if offset <= places.get(topic, -1):
        return True
    kept = {name: known for name, known in state.taught.items() if name != backfill}
    while len(kept) >= _BACKFILLS_KEPT:
        del kept[next(iter(kept))]
    state.taught = {**kept, backfill: {**places, topic: offset}}
    return False


def _has(kept: RuleState | None, event_id: int) -> bool:
    return kept is not None and any(entry[1] == event_id for entry in kept.entries)


def _match(
    rule: CompiledRule,
    rules: dict[str, RuleState],
    event: Event,
    seen: Seen,
    now: Instant,
) -> dict[str, RuleState]:
    at, event_id = seen
    matched = rule.matches(event)
    if rule.kind == "event":
        if matched:
            entry = masses.entry_of(rule, event, at, event_id)
            if entry[2]:
                kept = masses.add(rule, rules.get(rule.name), entry, now)
                rules = {**rules, rule.name: kept}
        return rules
    key = 0 if rule.same is None else masses.key_of(rule.same(event))
    entry = (at, event_id, 1.0, key)
    awaited = rule.name + UNLESS
    if matched:
        rules = {**rules, rule.name: masses.add(rule, rules.get(rule.name), entry, now)}
    if rule.unless(event):
        rules = {**rules, awaited: masses.add(rule, rules.get(awaited), entry, now)}
    elif not matched:
        return rules
    kept, waits = masses.bound_absence(
        rule,
        rules.get(rule.name) or RuleState(),
        rules.get(awaited) or RuleState(),
        now,
    )
    if kept.entries or kept.base_count:
        rules = {**rules, rule.name: kept}
    if waits.entries:
        rules = {**rules, awaited: waits}
    return rules


def _remember_id(state: LeadState, event_id: int, at: Instant, mark: int) -> None:
    state.ids = bounded_ids({**state.ids, event_id: at * MARKS + mark})


def bounded_ids(ids: dict[int, Stamp]) -> dict[int, Stamp]:
    """Return the latest ids by event time: what is kept does not hang on arrival."""
    if len(ids) <= MAX_IDS:
        return ids
    if len(ids) == MAX_IDS + 1:
        oldest = min(ids.values())
        del ids[min(known for known, stamp in ids.items() if stamp == oldest)]
        return ids
    latest = sorted(ids.items(), key=lambda item: (item[1], item[0]))
    return dict(latest[-MAX_IDS:])


def _identify(state: LeadState, event: Event, at: Instant, event_id: int) -> None:
    """Learn who the lead is; that is not withdrawn with what was done."""
    if event.email is not None and is_legal(event.email):
        email = normalise_email(event.email)
        state.emails = _with(state.emails, email)
        _, sign, domain = email.rpartition("@")
        if sign:
            # Free-mail and competitor rules read it; the address itself is no trait.
            learn_fact(state, "email_domain", TraitFact(at, event_id, domain))
    if event.user_id is not None and is_legal(event.user_id):
        state.user_ids = _with(state.user_ids, normalise("user_id", event.user_id))
    if event.anonymous_id is not None and is_legal(event.anonymous_id):
        anonymous_id = normalise("anonymous_id", event.anonymous_id)
        state.anonymous_ids = _with(state.anonymous_ids, anonymous_id)


def _with(known: tuple[str, ...], identifier: str) -> tuple[str, ...]:
    if identifier in known:
        return known
    return bounded_names((*known, identifier))


def bounded_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return identifiers in the order and number in which they are kept."""
    return tuple(sorted(names)[:_MOST_IDENTIFIERS])


def _sign_of_life(state: LeadState, channel: str, at: Instant, event_id: int) -> None:
    signs = state.active.get(channel, ())
    sign = (at, event_id)
    if len(signs) == _SIGNS_KEPT and sign < signs[0]:
        return
    if not signs or signs[-1] < sign:
        kept = (*signs, sign)[-_SIGNS_KEPT:]
    else:
        kept = latest_signs((*signs, sign))
    state.active = {**state.active, channel: kept}


def latest_signs(signs: Iterable[Seen]) -> tuple[Seen, ...]:
    """Return the last signs of life by event time, as many as are kept."""
    return tuple(sorted(signs)[-_SIGNS_KEPT:])


def _recall(state: LeadState, event: Event, at: Instant, event_id: int) -> None:
    if len(state.recent) == _MOST_RECENT and at < state.recent[0].at:
        return
    detail = next(
        (str(event.properties[key]) for key in _DETAILS if event.properties.get(key)),
        "",
    )
    name = event.name or event.type.capitalize()
    recent = Recent(at, event_id, name[:80], event.channel, detail[:120])
    state.recent = latest_events((*state.recent, recent))


def latest_events(events: Iterable[Recent]) -> tuple[Recent, ...]:
    """Return the last events by event time, as many as are kept."""
    ordered = sorted(events, key=lambda item: (item.at, item.id))
    return tuple(ordered[-_MOST_RECENT:])


def sign_of_life(state: LeadState, event_id: int) -> Instant | None:
    """Return when a known event happened, if the person did it; None if not."""
    at, mark = divmod(state.ids.get(event_id, PASSIVE), MARKS)
    return at if mark < PASSIVE else None


def gain(
    state: LeadState, now: Instant, event_id: int, points: float, window: Millis
) -> None:
    """Remember the points that an event gave, as long as a surge may read them."""
    if points > 0:
        kept = [item for item in state.gains if item[0] > now - window]
        state.gains = latest_gains([*kept, (now, event_id, points)])


def latest_gains(gains: Sequence[Gain]) -> tuple[Gain, ...]:
    """Return the last gains, as many as are kept."""
    return tuple(gains[-_MOST_GAINS:])


def gained(state: LeadState, since: Instant) -> float:
    """Return the points that events gave after `since`."""
    return sum([points for at, _, points in state.gains if at > since])


def forget(
    model: CompiledModel,
    state: LeadState,
    ids: frozenset[int],
    now: Instant,
    *,
    mark: int = WITHDRAWN,
) -> None:
    """Withdraw the events `ids` from everything they had a part in.

    Their ids stay known, also of those that have not come yet. Where the `mark` is a
    machine's, rules that count machines keep them.
    """
    rules = {}
    for name, kept in state.rules.items():
        rule = model.by_name.get(name.removesuffix(UNLESS))
        if rule is None or (mark == MACHINE and rule.counts_machines):
            rules[name] = kept
        else:
            rules[name] = masses.withdraw(rule, kept, ids)
    state.rules = rules
    if state.consents:
        consent.unsaid(state, ids)
        consent.settle(model, state)
    state.recent = tuple(item for item in state.recent if item.id not in ids)
    state.gains = tuple(item for item in state.gains if item[1] not in ids)
    state.signs = tuple(item for item in state.signs if item[1] not in ids)
    forget_facts(state, ids)
    full = len(state.ids) >= MAX_IDS
    for known in ids:
        stamp = state.ids.get(known)
        at = now if stamp is None else stamp // MARKS
        _remember_id(state, known, at, mark)
    _see_again(state, ids, full=full)


def _see_again(state: LeadState, ids: frozenset[int], *, full: bool) -> None:
    """Work out the signs of life anew from the events that are still known."""
    signs: dict[str, set[Seen]] = {
        channel: {sign for sign in kept if sign[1] not in ids}
        for channel, kept in state.active.items()
    }
    first = state.first_at if full else 0
    for known, stamp in state.ids.items():
        at, mark = divmod(stamp, MARKS)
        if mark < PASSIVE:
            signs.setdefault(CHANNELS[mark], set()).add((at, known))
        if mark <= PASSIVE and not full:
            first = min(first, at) if first else at
    state.first_at = first
    state.active = {
        channel: latest_signs(kept) for channel, kept in signs.items() if kept
    }
