"""Who a lead is, for lists of leads: its name, its company, its score as of now."""

from collections.abc import Iterable, Mapping

import msgspec

from streams.drawing import lead_name
from streams.view import View


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A lead as lists call it."""

    lead_id: str
    name: str
    tier: str
    score: float
    owner: str


def people_of(view: View, lead_ids: Iterable[str]) -> Mapping[str, Person]:
    """Return those of `lead_ids` that the view knows; who was erased is not there."""
    found: dict[str, Person] = {}
    for lead_id in dict.fromkeys(lead_ids):
        card = view.lead(lead_id)
        if card is not None:
            update = card.update
            found[lead_id] = Person(
                lead_id=lead_id,
                name=lead_name(update),
                tier=update.tier,
                score=update.score,
                owner=update.owner or "",
            )
    return found
