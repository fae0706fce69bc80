"""Which of a lead's recent events gave no points, and why, as its last update says."""

from schemas.locale import Locale
from scorers.compiled import CompiledModel
from scorers.machine_notes import deed
from scorers.masses import hash64
from scorers.withholding import mark
from streams.view_records import LeadCard


def uncounted(
    card: LeadCard, model: CompiledModel | None, locale: Locale | None = None
) -> dict[str, str]:
    """Return by the id of an event on the card why it is not counted.

    `model` is the one that scored the lead, None where it is not at hand; it is said
    in the model's language where no `locale` is asked for.
    """
    update = card.update
    locale = locale or ("en" if model is None else model.source.locale)
    why: dict[str, str] = {}
    for each in update.withheld:
        words = mark(model, each, locale)
        why |= dict.fromkeys(each.events, words)
        if each.everything:
            why |= {_name(event.id): words for event in card.events}
    for told in update.not_counted:
        why |= dict.fromkeys(told.events, deed(told.reason, told.act, locale))
    return {
        event.id: why[name] for event in card.events if (name := _name(event.id)) in why
    }


def _name(event_id: str) -> str:
    return f"{hash64(event_id):016x}"
