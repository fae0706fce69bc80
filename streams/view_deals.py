"""What a lead's deal is worth by the CRM's last word, as the view keeps it."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from schemas.event import Event
from schemas.time import Instant
from scorers.outcomes import AMOUNTS, currency_in, number_in

_LOST: Final = "deal lost"
_NAMES: Final = {_LOST, "deal won", "deal reopened", "deal corrected", "stage changed"}
_TRAITS: Final = ("deal_value",)


class DealState(msgspec.Struct, frozen=True, kw_only=True):
    """What an event says of a lead's deal."""

    id: str
    """The event's id, so that a repeated one is the same."""
    at: Instant
    amount: float
    currency: str = ""
    lost: bool = False


class DealChange(msgspec.Struct, frozen=True, kw_only=True):
    """What the live channel says when a lead's deal is worth something else."""

    lead_id: str
    deal: DealState


def deal_of(event: Event) -> DealState | None:
    """Return what `event` says of the lead's deal, None where it says nothing.

    >>> from schemas.examples import EVENT
    >>> deal_of(EVENT) is None
    True
    """
    amount = number_in(event.traits, _TRAITS)
    said, lost = event.traits, False
    if event.channel == "crm" and event.name.casefold() in _NAMES:
        lost = event.name.casefold() == _LOST
        told = number_in(event.properties, AMOUNTS)
        if told is not None or lost:
            amount, said = told, event.properties
    if amount is None and not lost:
        return None
    return DealState(
        id=event.id,
        at=event.time,
        amount=amount or 0.0,
        currency=currency_in(said),
        lost=lost,
    )


def read_deal(members: Iterable[Any]) -> DealState | None:
    """Return what was kept of a lead's deal, None where nothing was said of one."""
    return next((_decode(member) for member in members), None)


_decode: Final = msgspec.json.Decoder(DealState).decode
read_deal_change: Final = msgspec.json.Decoder(DealChange).decode
