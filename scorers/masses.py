"""A rule's memory: adding and withdrawing matches, exactly, within a bound.

The mass of a rule is by definition the left fold of its counted matches in order
of (event time, id): ``m ← m · kept(Δt) + amount``. A match that arrives in order
continues the fold; one that arrives late makes it run again. So the mass, to the
last bit, is the same for every order of arrival, and an old prefix can be folded
into `base` without changing it.

Up to `MAX_ENTRIES` matches of a rule (twice that where they fade over a finite age)
everything is exact, in whatever order they arrive and whichever are withdrawn.
Beyond that the oldest are folded: they count on, and in their limits too, but can
no longer be withdrawn, and matches that are later still count with the oldest kept.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Final

from msgspec.structs import replace

from schemas.event import Event
from schemas.time import Instant
from scorers.compiled_rules import CompiledLimit, CompiledRule
from scorers.decay import HalfLife, Linear, NoDecay, Stepped
from scorers.state import Entry, Rank, RuleState

MAX_ENTRIES: Final = 128
"""Matches a rule keeps one by one; older ones are folded into its base."""

MAX_RANKS: Final = 256
"""Limits' keys and windows remembered for matches that are no longer kept."""

SETTLED: Final = -1
"""In place of a key: a match (or several as one) that counts whatever limits say."""

_FOLD: Final = 64
_BUCKETS: Final = 64
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


# ── limits ──────────────────────────────────────────────────────────────────────


def counted(rule: CompiledRule, state: RuleState) -> Sequence[Entry]:
    """Return the matches that a rule's limit lets count, in order of time.

    Of each window and key the first `count` after the first `after` count, by
    event time, never by arrival. A match without the key counts by itself.
    """
    if rule.limit is None:
        return _consented(state)
    return _count(rule.limit, _consented(state), state.ranks)[0]


def _consented(state: RuleState) -> Sequence[Entry]:
    """Return the matches that happened while consent was not refused."""
    if not state.silenced:
        return state.entries
    return [entry for entry in state.entries if not is_silenced(state, entry)]


def is_silenced(state: RuleState, entry: Entry) -> bool:
    """Say whether a match does not count, for consent was refused when it happened."""
    return entry[3] != SETTLED and any(
        since <= entry[0] < until for since, until in state.silenced
    )


Ranks = dict[tuple[int, int], int]
"""How many matches a limit has met, by key and window."""


def _count(
    limit: CompiledLimit, entries: Iterable[Entry], ranks: Iterable[Rank]
) -> tuple[list[Entry], Ranks]:
    """Return the entries that count after `ranks`, and the ranks after them."""
    met: Ranks = {(key, window): rank for key, window, rank in ranks}
    first, last = limit.after, limit.after + limit.count
    window, keyed = limit.window, limit.key_of is not None
    kept = []
    for entry in entries:
        key = entry[3]
        if key == SETTLED:
            kept.append(entry)
            continue
        if keyed and key == _NO_KEY:
            if not first:
                kept.append(entry)
            continue
        place = (key, 0 if window is None else entry[0] // window)
        rank = met.get(place, 0)
        met[place] = rank + 1
        if first <= rank < last:
            kept.append(entry)
    return kept, met


def latest(ranks: Ranks) -> tuple[Rank, ...]:
    """Return the ranks of the latest windows, as many as are kept."""
    kept = sorted((window, key, rank) for (key, window), rank in ranks.items())
    return tuple((key, window, rank) for window, key, rank in kept[-MAX_RANKS:])


# ── folding ─────────────────────────────────────────────────────────────────────


def _decayed(rule: CompiledRule, mass: float, span: int) -> float:
    decay = rule.decay
    return mass * decay.kept(span) if isinstance(decay, HalfLife) else mass


def joined(
    rule: CompiledRule, mass: float, at: Instant, amount: float, when: Instant
) -> tuple[float, Instant]:
    """Return two masses as one, at the later of their instants."""
    if not mass:
        return amount, when
    if when < at:  # only what two identities remembered can overlap like this
        return mass + _decayed(rule, amount, at - when), at
    return _decayed(rule, mass, when - at) + amount, when


def refold(rule: CompiledRule, state: RuleState) -> RuleState:
    """Return `state` with its mass folded anew from base and entries."""
    if not rule.folds or rule.kind == "absence":
        return state
    mass, at = state.base, state.base_at
    for when, _, amount, _ in counted(rule, state):
        mass, at = joined(rule, mass, at, amount, when)
    return replace(state, mass=mass, mass_at=at)


def add(
    rule: CompiledRule, state: RuleState | None, entry: Entry, now: Instant
) -> RuleState:
    """Return `state` with one more match."""
    if state is None:
        state = RuleState()
    if rule.kind == "absence":
        return _insert(state, entry)
    if rule.folds and state.base_count and entry[0] < state.base_at:
        return _add_late(rule, state, entry)
    entries = state.entries
    in_order = not entries or entries[-1][:2] < entry[:2]
    if rule.folds and in_order and not state.silenced:
        state = _continued(rule, state, entry)
    else:
        state = refold(rule, _insert(state, entry))
    return bounded(rule, state, now)


def _continued(rule: CompiledRule, state: RuleState, entry: Entry) -> RuleState:
    """Return `state` with a match that is later than all others."""
    mass, at = state.mass, state.mass_at
    if rule.limit is None or _counts(rule.limit, state, entry):
        when = entry[0]
        mass = _decayed(rule, mass, when - at) + entry[2] if mass else entry[2]
        at = when
    return RuleState(
        (*state.entries, entry),
        mass,
        at,
        state.base,
        state.base_at,
        state.base_count,
        state.ranks,
    )


def _counts(limit: CompiledLimit, state: RuleState, entry: Entry) -> bool:
    """Say whether a match that is later than all others counts."""
    key, window = entry[3], limit.window
    if key == _NO_KEY and limit.key_of is not None:
        return not limit.after
    place = 0 if window is None else entry[0] // window
    rank = 0
    for when, _, _, other in reversed(state.entries):
        if window is not None and when // window != place:
            break
        rank += other == key
    for other, there, before in state.ranks:
        if other == key and there == place:
            rank += before
    return limit.after <= rank < limit.after + limit.count


def _insert(state: RuleState, entry: Entry) -> RuleState:
    entries = state.entries
    if not entries or entries[-1][:2] < entry[:2]:
        return replace(state, entries=(*entries, entry))
    return replace(state, entries=tuple(sorted((*entries, entry))))


def _add_late(rule: CompiledRule, state: RuleState, entry: Entry) -> RuleState:
    """Return `state` with a match that is older than its base."""
    if is_silenced(state, entry):
        return state
    if rule.limit is not None:
        kept, ranks = _count(rule.limit, (entry,), state.ranks)
        state = replace(state, ranks=latest(ranks))
        if not kept:
            return refold(rule, state)
    late = _decayed(rule, entry[2], state.base_at - entry[0])
    return refold(
        rule, replace(state, base=state.base + late, base_count=state.base_count + 1)
    )


def bounded(rule: CompiledRule, state: RuleState, now: Instant) -> RuleState:
    """Return `state` within its bound: fold the oldest, drop what is spent."""
    decay = rule.decay
    if isinstance(decay, HalfLife | NoDecay):
        while len(state.entries) > MAX_ENTRIES:
            state = _folded(rule, state)
        return state
    state = _unspent(rule, state, now)
    if len(state.entries) <= 2 * MAX_ENTRIES:
        return state
    return _coarser(rule, decay, state, now)


def _folded(rule: CompiledRule, state: RuleState) -> RuleState:
    """Return `state` with its oldest matches in its base."""
    kept = state.entries[_FOLD:]
    before = replace(state, entries=state.entries[:_FOLD])
    base, old = refold(rule, before), _consented(before)
    ranks = state.ranks
    if rule.limit is not None:
        ranks = latest(_count(rule.limit, old, ranks)[1])
    return refold(
        rule,
        RuleState(
            entries=kept,
            base=base.mass,
            base_at=base.mass_at,
            base_count=state.base_count + len(old),
            ranks=ranks,
            silenced=state.silenced,
        ),
    )


def _unspent(rule: CompiledRule, state: RuleState, now: Instant) -> RuleState:
    """Return `state` without the matches that can never give points again."""
    support, limit = rule.decay.support, rule.limit
    if support is None or (limit is not None and limit.window is None):
        return state  # a match takes its place in a limit without end for ever
    spent = now - support - rule.within
    if limit is not None and limit.window is not None:
        # It still takes its place in its window, as long as that can give points.
        spent -= limit.window
    if not state.entries or state.entries[0][0] >= spent:
        return state
    kept = tuple(entry for entry in state.entries if entry[0] >= spent)
    return replace(state, entries=kept)


def _coarser(
    rule: CompiledRule, decay: Linear | Stepped, state: RuleState, now: Instant
) -> RuleState:
    """Return `state` with its older matches as one for each stretch of time.

    A stretch is a 64th of the age over which points fade, so their fading is off by
    no more than that.
    """
    kept = state.entries[-MAX_ENTRIES:]
    old = _consented(replace(state, entries=state.entries[:-MAX_ENTRIES]))
    counting = old
    ranks = state.ranks
    if rule.limit is not None:
        counting, met = _count(rule.limit, old, ranks)
        ranks = latest(met)
    done = now - decay.reach - rule.within
    stretches = _stretches(decay, counting, done)
    return replace(state, entries=(*stretches, *kept), ranks=ranks)


def _stretches(
    decay: Linear | Stepped, entries: Iterable[Entry], done: Instant
) -> list[Entry]:
    """Return one match for each stretch; those up to `done` fade no more."""
    width = max(1, decay.reach // _BUCKETS)
    found: list[Entry] = []
    for stretch, group in groupby(
        entries, lambda entry: None if entry[0] <= done else entry[0] // width
    ):
        together = list(group)
        if stretch is None and decay.support is not None:
            continue  # nothing is left of them
        weight = sum([abs(entry[2]) for entry in together])
        first = together[0][0]
        late = sum([abs(entry[2]) * (entry[0] - first) for entry in together])
        at = first + round(late / weight)
        found.append((at, 0, sum([entry[2] for entry in together]), SETTLED))
    return found


# ── absence ─────────────────────────────────────────────────────────────────────


def met_in_time(rule: CompiledRule, waits: RuleState | None) -> Callable[[Entry], bool]:
    """Return a test that says whether what an expectation waits for came in time."""
    came: dict[int, list[Instant]] = {}
    for when, _, _, key in waits.entries if waits is not None else ():
        came.setdefault(key, []).append(when)

    def met(expectation: Entry) -> bool:
        since = expectation[0]
        moments = came.get(expectation[3], ())
        return any(since <= moment <= since + rule.within for moment in moments)

    return met


def bound_absence(
    rule: CompiledRule, state: RuleState, waits: RuleState, now: Instant
) -> tuple[RuleState, RuleState]:
    """Return an absence rule's two memories within their bound.

    Of the older expectations those that were met go, and those whose time is over
    are folded; then goes whatever came before the first that is kept.
    """
    crowded = [kept for kept in (state, waits) if len(kept.entries) > MAX_ENTRIES]
    if not crowded:
        return state, waits
    horizon = max(kept.entries[-_FOLD][0] for kept in crowded)
    met = met_in_time(rule, waits)
    missed: list[Entry] = []
    open_: list[Entry] = []
    for entry in state.entries:
        if entry[0] >= horizon or entry[3] == SETTLED:
            open_.append(entry)
        elif not met(entry) and not is_silenced(state, entry):
            (missed if entry[0] + rule.within <= now else open_).append(entry)
    if rule.folds:
        base, at = state.base, state.base_at
        for when, _, amount, _ in missed:
            base, at = joined(rule, base, at, amount, when)
        state = replace(
            state,
            entries=tuple(open_[-2 * MAX_ENTRIES :]),
            base=base,
            base_at=at,
            base_count=state.base_count + len(missed),
        )
    else:
        open_.extend((when, id_, amount, SETTLED) for when, id_, amount, _ in missed)
        state = bounded(rule, replace(state, entries=tuple(sorted(open_))), now)
    left = tuple(entry for entry in waits.entries if entry[0] >= horizon)
    return state, replace(waits, entries=left)


# ── withdrawal ──────────────────────────────────────────────────────────────────


def withdraw(rule: CompiledRule, state: RuleState, ids: frozenset[int]) -> RuleState:
    """Return `state` as if the events `ids` had never matched.

    Only matches that are still kept one by one can be withdrawn.
    """
    kept = tuple(entry for entry in state.entries if entry[1] not in ids)
    if len(kept) == len(state.entries):
        return state
    return refold(rule, replace(state, entries=kept))
