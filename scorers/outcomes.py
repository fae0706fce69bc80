"""What became of a lead: read off the events of a CRM, and what they amount to."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from schemas.event import Event
from schemas.time import Instant
from scorers.conditions import as_number

OutcomeKind = Literal[
    "qualified", "won", "lost", "disqualified", "reopened", "corrected"
]

KINDS: Final[dict[str, OutcomeKind]] = {
    "lead qualified": "qualified",
    "deal won": "won",
    "deal lost": "lost",
    "lead disqualified": "disqualified",
    "deal reopened": "reopened",
    "deal corrected": "corrected",
}
"""The events that say what became of a lead, by their names in small letters."""

AMOUNTS: Final = ("amount", "value", "revenue", "total")
"""Where CRMs say what a deal brings."""


DEALS: Final = ("deal_id", "deal")
"""Where CRMs say which deal it is."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that a CRM said about what became of a lead."""

    event_id: str
    at: Instant
    """When it happened, by the CRM."""
    kind: OutcomeKind
    deal: str = ""
    """Which deal it is about, where the CRM says."""
    amount: float | None = None
    currency: str = ""
    reason: str = ""
    won: bool | None = None
    """Of a correction: whether the deal was won; None if that stays."""


def outcome_of(event: Event) -> Outcome | None:
    """Return what `event` says of what became of the lead; None for nothing."""
    kind = KINDS.get(event.name.casefold())
    if kind is None or event.type != "track":
        return None
    known = event.properties
    said = known.get("outcome")
    return Outcome(
        event_id=event.id,
        at=event.time,
        kind=kind,
        deal=next((_text(known[each]) for each in DEALS if known.get(each)), ""),
        amount=number_in(known, AMOUNTS),
        currency=currency_in(known),
        reason=_text(known.get("reason"))[:200],
        won=None if kind != "corrected" else _won(said),
    )


def number_in(known: Mapping[str, Any], names: Iterable[str]) -> float | None:
    """Return the first number that `known` has under one of `names`.

    >>> number_in({"value": "1200", "total": 9}, AMOUNTS)
    1200.0
    """
    found = (as_number(known.get(name)) for name in names)
    return next((number for number in found if number is not None), None)


def currency_in(known: Mapping[str, Any]) -> str:
    """Return the currency that `known` names, by three letters; empty for none."""
    return _text(known.get("currency")).upper()[:3]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _won(said: Any) -> bool | None:
    return {"won": True, "lost": False}.get(_text(said).casefold())


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a lead came to."""

    won: bool
    at: Instant
    amount: float | None = None
    currency: str = ""
    reason: str = ""


def verdict_of(
    outcomes: Iterable[Outcome], since: Instant, until: Instant
) -> Verdict | None:
    """Return what became of a lead between two instants; None while it is open.

    It is won if any of its deals is, else lost once something was lost and nothing is
    open again. What is told twice counts once, in whatever order it came. `since`
    itself does not count: what was known then is no outcome of it. What several deals
    brought is added up in the currency of the first; others are left out.

    >>> won = Outcome(event_id="1", at=5, kind="won", deal="a", amount=10.0)
    >>> again = Outcome(event_id="2", at=7, kind="reopened", deal="a")
    >>> verdict_of([won], 0, 6).amount, verdict_of([again, won], 0, 8)
    (10.0, None)
    """
    deals: dict[str, Verdict] = {}
    told = {each.event_id: each for each in outcomes if since < each.at <= until}
    for each in sorted(told.values(), key=lambda one: (one.at, one.event_id)):
        match each.kind:
            case "won" | "lost" | "disqualified":
                deals[each.deal] = _told(deals.get(each.deal), each)
            case "reopened":
                deals.pop(each.deal, None)
            case "corrected":
                before = deals.get(each.deal)
                if before is not None or each.won is not None:
                    deals[each.deal] = _corrected(before, each)
            case "qualified":
                pass  # a step on the way
    won = [verdict for verdict in deals.values() if verdict.won]
    if won:
        first = min(won, key=lambda verdict: verdict.at)
        currency = (
            first.currency
            or min(
                (each for each in won if each.currency),
                key=lambda verdict: verdict.at,
                default=first,
            ).currency
        )
        amounts = [
            verdict.amount
            for verdict in won
            if verdict.amount is not None and verdict.currency in {"", currency}
        ]
        return msgspec.structs.replace(
            first, amount=sum(amounts) if amounts else None, currency=currency
        )
    return max(deals.values(), key=lambda verdict: verdict.at, default=None)


def _told(before: Verdict | None, word: Outcome) -> Verdict:
    """Return the verdict as a word of its own says it.

    CRMs may say what a deal brought before they say that it was won.
    """
    won = word.kind == "won"
    known = before if won and before is not None and before.won else None
    if known is None or word.amount is not None:
        amount, currency = word.amount, word.currency
    else:
        amount, currency = known.amount, word.currency or known.currency
    return Verdict(
        won=won, at=word.at, amount=amount, currency=currency, reason=word.reason
    )


def _corrected(before: Verdict | None, word: Outcome) -> Verdict:
    """Return the verdict as a correction leaves it; its instant stays."""
    if before is None:
        before = Verdict(won=bool(word.won), at=word.at)
    return Verdict(
        won=before.won if word.won is None else word.won,
        at=before.at,
        amount=before.amount if word.amount is None else word.amount,
        currency=word.currency or before.currency,
        reason=word.reason or before.reason,
    )
