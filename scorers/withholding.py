"""What a lead did that does not count for want of consent: by purpose, in sentences."""

from collections.abc import Sequence
from typing import Final

from schemas.locale import Locale
from schemas.score import Withheld
from schemas.time import Instant, to_datetime
from scorers.compiled import CompiledModel
from scorers.consent import OPEN, refusals
from scorers.consent_gate import Gate
from scorers.speech import SPEECH
from scorers.state import LeadState, Span

MOST_EVENTS: Final = 16
"""Events of a purpose that are named; the others are counted."""


def withheld(
    model: CompiledModel, state: LeadState, locale: Locale
) -> tuple[Withheld, ...]:
    """Return what gives no points by each purpose that is, or was, refused."""
    found = []
    for gate in model.gates.values():
        spans = refusals(gate, state) if gate.withholds else ()
        if not spans:
            continue
        events = _events(model, state, gate, spans)
        refused = spans[-1][1] == OPEN
        if not events and not refused:
            continue
        since = spans[-1][0] if refused else 0
        latest = sorted(events, key=lambda known: (-events[known], known))
        found.append(
            Withheld(
                purpose=gate.name,
                count=len(events),
                text=_sentence(gate, len(events), locale, refused=refused, since=since),
                everything=refused and gate.whole,
                since=to_datetime(since) if since else None,
                events=tuple(f"{known:016x}" for known in latest[:MOST_EVENTS]),
            )
        )
    return tuple(found)


def mark(model: CompiledModel | None, told: Withheld, locale: Locale) -> str:
    """Return why one of the events does not count, as short as it can be said."""
    gate = None if model is None else model.gates.get(told.purpose)
    title = told.purpose if gate is None else gate.title_in(locale)
    speech = SPEECH[locale]
    why = speech.say("short.no-consent", purpose=speech.name(title))
    return speech.say("withheld.event", why=why)


def _events(
    model: CompiledModel, state: LeadState, gate: Gate, spans: Sequence[Span]
) -> dict[int, Instant]:
    """Return the remembered events that do not count, and when they happened."""
    refused = spans[-1][1] == OPEN
    found: dict[int, Instant] = {}
    for name, kept in state.rules.items():
        rule = model.by_name.get(name)
        if rule is None or gate.name not in rule.gates:
            continue
        # While it lasts, a refusal holds back what was before it as well.
        found |= {
            event_id: at
            for at, event_id, _, _ in kept.entries
            if refused or any(since <= at < until for since, until in spans)
        }
    return found


def _sentence(
    gate: Gate, count: int, locale: Locale, *, refused: bool, since: Instant
) -> str:
    speech = SPEECH[locale]
    key = "withheld.since" if since else "withheld.never"
    purpose = speech.name(gate.title_in(locale))
    why = speech.say(
        key if refused else "withheld.then", purpose=purpose, date=speech.date(since)
    )
    if count:
        return speech.say("withheld.events", count, why=why)
    return speech.say("withheld.nothing", why=why)
