"""A rule's memory: adding, withdrawing and merging matches, exactly.

The mass of a rule is by definition the left fold of its counted matches in order
of (event time, id): ``m ← m · kept(Δt) + amount``. A match that arrives in order
continues the fold; one that arrives late makes it run again. So the mass, to the
last bit, is the same for every order of arrival, and an old prefix can be folded
into `base` without changing it.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from schemas.event import Event
from schemas.time import Instant
from scorers.compiled import CompiledRule
from scorers.decay import HalfLife
from scorers.state import Entry, RuleState

MAX_ENTRIES: Final = 128
"""Matches a rule keeps one by one; older ones are folded into its base."""

_FOLD: Final = 64
_NO_KEY: Final = 0


def hash64(text: str) -> int:
    """Return 64 bits of BLAKE2b over `text`: the same on every machine."""
    data = text.encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def entry_of(rule: CompiledRule, event: Event, at: Instant, event_id: int) -> Entry:
    """Return the match of `rule` and `event` as it is remembered.

    The amount is 1 where the rule has plain points, so that a new version's points
    apply to old matches at once; else it is the points of the event's own value.
    """
    amount = 1.0
    if rule.read_amount is not None and rule.amount_of is not None:
        amount = rule.amount_of(rule.read_amount(event))
    key = _NO_KEY
    if rule.limit is not None and rule.limit.key_of is not None:
        key = key_of(rule.limit.key_of(event))
    return (at, event_id, amount, key)


def key_of(value: object) -> int:
    """Return a key's hash; 0 stands for no key at all."""
    if value is None or value == "":
        return _NO_KEY
    return hash64(value if isinstance(value, str) else repr(value)) or 1


def counted(rule: CompiledRule, entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries that a rule's limit lets count, in order of time.

    Of each window and key the first `count` after the first `after` count, by
    event time, never by arrival. A match without the key counts by itself.
    """
    limit = rule.limit
    if limit is None:
        return list(entries)
    met: dict[tuple[int, int], int] = {}
    first, last = limit.after, limit.after + limit.count
    kept = []
    for entry in entries:
        at, _, _, key = entry
        if limit.key_of is not None and key == _NO_KEY:
            if limit.after == 0:
                kept.append(entry)
            continue
        window = 0 if limit.window is None else at // limit.window
        rank = met.get((key, window), 0)
        met[key, window] = rank + 1
        if first <= rank < last:
            kept.append(entry)
    return kept


def _decayed(rule: CompiledRule, mass: float, span: int) -> float:
    decay = rule.decay
    return mass * decay.kept(span) if isinstance(decay, HalfLife) else mass


def refold(rule: CompiledRule, state: RuleState) -> RuleState:
    """Return `state` with its mass folded anew from base and entries."""
    if not rule.folds or rule.kind == "absence":
        return state
    mass, at = state.base, state.base_at
    for when, _, amount, _ in counted(rule, state.entries):
        mass = _decayed(rule, mass, when - at) + amount if mass else amount
        at = when
    return replace(state, mass=mass, mass_at=at)


def add(
    rule: CompiledRule, state: RuleState | None, entry: Entry, now: Instant
) -> RuleState:
    """Return `state` with one more match."""
    if state is None:
        state = RuleState()
    if rule.kind == "absence":
        return _insert(state, entry)
    at = entry[0]
    if rule.folds and state.base_count and at < state.base_at:
        # Older than everything kept one by one: decay it up to the base's instant.
        late = _decayed(rule, entry[2], state.base_at - at)
        return refold(
            rule,
            replace(state, base=state.base + late, base_count=state.base_count + 1),
        )
    entries = state.entries
    in_order = not entries or entries[-1][:2] < entry[:2]
    if in_order and rule.folds and rule.limit is None:
        mass = state.mass
        mass = _decayed(rule, mass, at - state.mass_at) + entry[2] if mass else entry[2]
        state = RuleState(
            (*entries, entry), mass, at, state.base, state.base_at, state.base_count
        )
    else:
        state = refold(rule, _insert(state, entry))
    return _bounded(rule, state, now)


def _insert(state: RuleState, entry: Entry) -> RuleState:
    entries = state.entries
    if not entries or entries[-1][:2] < entry[:2]:
        return replace(state, entries=(*entries, entry))
    return replace(state, entries=tuple(sorted((*entries, entry))))


def _bounded(rule: CompiledRule, state: RuleState, now: Instant) -> RuleState:
    """Return `state` within its bound: fold the oldest, drop what is spent."""
    if not rule.folds:
        support = rule.decay.support
        if support is not None:
            # A spent match still takes its place in its window, so it goes only
            # when that window can no longer give points either.
            window = 0
            if rule.limit is not None:
                window = rule.limit.window or support
            spent = now - support - window
            if state.entries and state.entries[0][0] < spent:
                kept = tuple(entry for entry in state.entries if entry[0] >= spent)
                state = replace(state, entries=kept)
        if len(state.entries) > 2 * MAX_ENTRIES:
            state = replace(state, entries=_coarser(state.entries))
        return state
    if len(state.entries) <= MAX_ENTRIES:
        return state
    old, kept = state.entries[:_FOLD], state.entries[_FOLD:]
    folded = refold(rule, replace(state, entries=old))
    return refold(
        rule,
        replace(
            state,
            entries=kept,
            base=folded.mass,
            base_at=old[-1][0],
            base_count=state.base_count + len(old),
        ),
    )


def _coarser(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return `entries` with the two oldest as one at their common mean time."""
    (at1, id1, amount1, key1), (at2, _, amount2, _), *rest = entries
    amount = amount1 + amount2
    share = amount2 / amount if amount else 0.5
    at = at1 + round((at2 - at1) * share)
    return ((at, id1, amount, key1), *rest)


def withdraw(rule: CompiledRule, state: RuleState, ids: frozenset[int]) -> RuleState:
    """Return `state` as if the events `ids` had never matched.

    Only matches that are still kept one by one can be withdrawn.
    """
    kept = tuple(entry for entry in state.entries if entry[1] not in ids)
    if len(kept) == len(state.entries):
        return state
    return refold(rule, replace(state, entries=kept))
