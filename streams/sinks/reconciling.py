"""Holding a CRM against the topic: who is missing there, and what differs."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from streams.errors import UserError
from streams.sending_policy import GaveUp, Refuse, Retry, Sender, Sent, Stopped
from streams.sinks.answers import Found
from streams.sinks.rows import Row, differences
from streams.sinks.writing import CrmWriter

Verdict = Literal["same", "differs", "missing", "ambiguous", "left-over", "gone"]
"""`left-over`: of a lead that is no more, and still there. `gone`: as it should be."""


class CrmUnreadableError(UserError):
    """The CRM cannot be asked now."""

    def __init__(self, why: Retry | Refuse) -> None:
        """Say why."""
        told = why.detail or why.reason
        super().__init__(f"cannot read the CRM: {why.reason} ({told})")


class Line(msgspec.Struct, frozen=True):
    """What a CRM says of a lead, beside the topic."""

    lead_id: str
    verdict: Verdict
    sequence: int = 0
    """The topic's."""
    fields: tuple[str, ...] = ()
    """Those that differ, by their names in the CRM."""


def reconcile(
    rows: Iterable[Row], crm: CrmWriter, sender: Sender, most: int
) -> Iterator[Line]:
    """Yield what the CRM says of each row, `most` at a time; nothing is written.

    Raises
    ------
    CrmUnreadableError
        When it does not answer, or not to this.
    """
    waiting = iter(rows)
    while batch := list(itertools.islice(waiting, most)):
        found: list[dict[str, list[Found]]] = []

        def attempt(
            batch: list[Row] = batch, found: list[dict[str, list[Found]]] = found
        ) -> Sent | Retry | Refuse:
            found.clear()
            for part in (crm.find(batch), crm.find_leads(batch)):
                if isinstance(part, Retry | Refuse):
                    return part
                found.append(part)
            return Sent()

        result = sender.send(attempt)
        if not isinstance(result, Sent):
            match result:
                case GaveUp(last):
                    raise CrmUnreadableError(last)
                case Refuse():
                    raise CrmUnreadableError(result)
                case Stopped():
                    return
        by_key, by_lead = found
        for row in batch:
            yield _line(row, by_key, by_lead)


def _line(
    row: Row, by_key: dict[str, list[Found]], by_lead: dict[str, list[Found]]
) -> Line:
    if row.clear:
        left = by_lead.get(row.lead_id.casefold())
        return Line(row.lead_id, "left-over" if left else "gone")
    match by_key.get((row.key or "").casefold(), []):
        case []:
            return Line(row.lead_id, "missing", row.sequence)
        case [record]:
            fields = tuple(differences(row.fields, record.fields))
            verdict: Verdict = "differs" if fields else "same"
            return Line(row.lead_id, verdict, row.sequence, fields)
        case _:
            return Line(row.lead_id, "ambiguous", row.sequence)
