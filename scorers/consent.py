"""Consent: what events say of it, when it was refused, and what then does not count.

What is remembered are the words themselves with their event times, so the order of
their arrival does not matter. From them follow the times at which a purpose was
refused; a match of that time is kept and never counted.

A word is about everything, about a purpose, or about one channel of a purpose. Giving
undoes a refusal that is as general or more so: a cookie banner's "marketing: yes" does
not undo an unsubscription from e-mail. At one instant a refusal wins.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from msgspec.structs import replace

from schemas.event import Event
from schemas.time import Instant
from scorers import masses
from scorers.compiled import CompiledModel
from scorers.compiled_rules import CompiledRule
from scorers.consent_gate import EVERYTHING, Gate, fold
from scorers.state import ConsentWord, LeadState, Span

MOST_WORDS: Final = 16
"""Words of one purpose that are kept; then repetitions go, then the oldest."""
MOST_PURPOSES: Final = 32
"""Purposes and channels of which words are kept."""

TimesRefused = Mapping[str, tuple[Span, ...]]
"""By purpose of a model, when it was refused."""

OPEN: Final[Instant] = 1 << 62
"""The end of a refusal that still holds."""

_YES: Final = frozenset(
    {
        "true",
        "yes",
        "y",
        "1",
        "on",
        "granted",
        "given",
        "opt-in",
        "opted-in",
        "optin",
        "subscribed",
        "allow",
        "allowed",
        "accepted",
        "accept",
        "confirmed",
        "active",
        "consented",
    }
)
_NO: Final = frozenset(
    {
        "false",
        "no",
        "n",
        "0",
        "off",
        "denied",
        "deny",
        "refused",
        "withdrawn",
        "revoked",
        "opt-out",
        "opted-out",
        "optout",
        "unsubscribed",
        "rejected",
        "reject",
        "declined",
        "inactive",
        "expired",
    }
)
_VALUE_KEYS: Final = ("granted", "given", "consented", "status", "state", "value")
_LIST_KEYS: Final = ("categoryPreferences", "categories", "purposes", "channels")

_OPT_OUTS: Final = frozenset(
    {
        "do-not-email",
        "email-opt-out",
        "email-optout",
        "hasoptedoutofemail",
        "hs-email-optout",
        "unsubscribed",
        "unsubscribed-from-emails",
    }
)
"""Traits by which CRMs say that someone wants no mail. Only a yes counts: that they
know of no refusal is no consent, and may be older than the refusal."""

EMAIL_MARKETING: Final = "marketing.email"

_EVENTS: Final[Mapping[str, tuple[str, bool]]] = {
    "unsubscribed": (EMAIL_MARKETING, False),
    "email marked as spam": (EMAIL_MARKETING, False),
    "resubscribed": (EMAIL_MARKETING, True),
    "consent given": (EVERYTHING, True),
    "consent withdrawn": (EVERYTHING, False),
}
"""Events that are words of consent: what they are about unless their properties say."""


# ── what events say ─────────────────────────────────────────────────────────────


def words_of(event: Event) -> dict[str, bool]:
    """Return what `event` says of consent, by purpose and channel.

    >>> from schemas.examples import EVENT
    >>> from msgspec.structs import replace
    >>> words_of(replace(EVENT, traits={"consent": {"marketing": {"sms": "denied"}}}))
    {'marketing.sms': False}
    """
    found: dict[str, bool] = {}
    traits = event.traits
    if traits:
        if "consent" in traits:
            found.update(_said(EVERYTHING, traits["consent"]))
        for name, value in traits.items():
            if _folded(name) in _OPT_OUTS and _answer(value) is True:
                found[EMAIL_MARKETING] = False
    if "consent" in event.context:
        found.update(_said(EVERYTHING, event.context["consent"]))
    spoken = _EVENTS.get(event.name.casefold())
    if spoken is not None and event.type == "track":
        about, given = spoken
        found.update(dict.fromkeys(_named(event.properties, about), given))
    return found


_folded: Final = lru_cache(maxsize=1_024)(fold)


def _named(properties: Mapping[str, Any], otherwise: str) -> Iterator[str]:
    """Yield what an event of consent is about, by its properties."""
    purposes = _names(properties, "purpose", "purposes", "category", "categories")
    channels = _names(properties, "channel", "channels")
    if not purposes and not channels:
        yield otherwise
        return
    for purpose in purposes or ["marketing"]:
        yield from (f"{purpose}.{channel}" for channel in channels)
        if not channels:
            yield purpose


def _names(properties: Mapping[str, Any], *keys: str) -> list[str]:
    found: list[str] = []
    for key in keys:
        value = properties.get(key)
        items = value if isinstance(value, list | tuple) else [value]
        found += [fold(item) for item in items if isinstance(item, str) and fold(item)]
    return found


def _answer(value: object) -> bool | None:
    """Return a yes or a no, None for what is neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str | int | float):
        word = fold(str(value))
        return True if word in _YES else False if word in _NO else None
    return None


def _said(about: str, value: object) -> Iterator[tuple[str, bool]]:
    """Yield the words in the value of a trait, or of a part of it."""
    answer = _answer(value)
    if answer is not None:
        yield about, answer
    elif isinstance(value, list | tuple):  # those that are consented to
        names = (item for item in value[:MOST_PURPOSES] if isinstance(item, str))
        yield from ((_within(about, name), True) for name in names if fold(name))
    elif isinstance(value, Mapping):
        for key, item in list(value.items())[:MOST_PURPOSES]:
            if key in _LIST_KEYS:
                yield from _said(about, item)
            elif key in _VALUE_KEYS:
                answer = _answer(item)
                yield from () if answer is None else ((about, answer),)
            elif fold(str(key)) and "." not in about:
                yield from _said(_within(about, str(key)), item)


def _within(about: str, name: str) -> str:
    return f"{about}.{fold(name)}" if about else fold(name)


# ── what is remembered ──────────────────────────────────────────────────────────


def heard(
    state: LeadState, words: Mapping[str, bool], at: Instant, event_id: int
) -> None:
    """Take words of an event into `state`; `settle` must follow."""
    consents = dict(state.consents)
    for about, given in words.items():
        word = ConsentWord(at, event_id, given)
        consents[about] = _bounded({*consents.get(about, ()), word})
    state.consents = _fewest(consents)


def united(one: LeadState, other: LeadState) -> dict[str, tuple[ConsentWord, ...]]:
    """Return the words that either of two states of one person remembers."""
    return _fewest(
        {
            about: _bounded(
                {*one.consents.get(about, ()), *other.consents.get(about, ())}
            )
            for about in one.consents.keys() | other.consents.keys()
        }
    )


def unsaid(state: LeadState, ids: frozenset[int]) -> None:
    """Take back the words of the events `ids`; `settle` must follow."""
    kept = {
        about: tuple(word for word in words if word.id not in ids)
        for about, words in state.consents.items()
    }
    state.consents = {about: words for about, words in kept.items() if words}


def _bounded(words: Iterable[ConsentWord]) -> tuple[ConsentWord, ...]:
    kept = sorted(words, key=_order)
    while len(kept) > MOST_WORDS:
        repeated = (
            place
            for place in range(1, len(kept))
            if kept[place].given == kept[place - 1].given
        )
        del kept[next(repeated, 0)]
    return tuple(kept)


def _fewest(
    consents: dict[str, tuple[ConsentWord, ...]],
) -> dict[str, tuple[ConsentWord, ...]]:
    return {about: consents[about] for about in sorted(consents)[:MOST_PURPOSES]}


def _order(word: ConsentWord) -> tuple[Instant, bool, int]:
    return word.at, not word.given, word.id


# ── what follows ────────────────────────────────────────────────────────────────


def refusals(gate: Gate, state: LeadState) -> tuple[Span, ...]:
    """Return when a gate was refused, in order; the last may be open."""
    words = sorted(
        (
            (_order(word), level, word)
            for about, level in gate.levels.items()
            for word in state.consents.get(about, ())
        ),
    )
    spans: list[Span] = []
    since: Instant | None = 0 if gate.required else None
    level = 0
    for _, reach, word in words:
        if not word.given:
            level = reach if since is None else max(level, reach)
            since = word.at if since is None else since
        elif since is not None and reach >= level:
            if word.at > since:
                spans.append((since, word.at))
            since = None
    if since is not None:
        spans.append((since, OPEN))
    return tuple(spans)


def times_refused(model: CompiledModel, state: LeadState) -> TimesRefused:
    """Return when each of the model's purposes was refused."""
    return {name: refusals(gate, state) for name, gate in model.gates.items()}


def silence_of(rule: CompiledRule, refused: TimesRefused) -> tuple[Span, ...]:
    """Return the times whose matches of a rule do not count."""
    return _united(refused[gate] for gate in rule.gates)


def settle(model: CompiledModel, state: LeadState) -> None:
    """Let what `state` remembers of consent decide what counts by `model`."""
    gates = model.gates.values()
    if not (state.consents or state.refused or any(gate.required for gate in gates)):
        if any(kept.silenced for kept in state.rules.values()):
            _silence(model, state, {gate.name: () for gate in gates})
        return
    refused = times_refused(model, state)
    state.refused = tuple(
        name for name, spans in refused.items() if spans and spans[-1][1] == OPEN
    )
    _silence(model, state, refused)


def _silence(model: CompiledModel, state: LeadState, refused: TimesRefused) -> None:
    """Let no match count that happened while one of its rule's purposes was refused."""
    rules = state.rules
    for name, kept in rules.items():
        rule = model.by_name.get(name)
        if rule is None or not (rule.gates or kept.silenced):
            continue
        silenced = silence_of(rule, refused)
        if silenced != kept.silenced:
            anew = masses.refold(rule, replace(kept, silenced=silenced))
            rules = {**rules, name: anew}
    state.rules = rules


def _united(each: Iterable[tuple[Span, ...]]) -> tuple[Span, ...]:
    """Return spans of several gates as one, in order and without overlap."""
    found: list[Span] = []
    for since, until in sorted(span for spans in each for span in spans):
        if found and since <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], until))
        else:
            found.append((since, until))
    return tuple(found)
