"""What becomes of a row at a CRM, in words that sinks, metrics and people share."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from streams.sending_policy import Refuse, Retry
from streams.sinks.rows import Fields, Row

Done = Literal["written", "created", "cleared", "same", "older", "unknown"]
"""What a CRM has of a row by now.

`same`: it said so already. `older`: it says something newer. `unknown`: it has no
record of the lead, and none may be made.
"""

Answer = Done | Retry | Refuse
Answers = list[Answer] | Retry | Refuse
"""One answer for each row, in their order; or one for the request as a whole."""


class Found(msgspec.Struct, frozen=True):
    """A record of a CRM."""

    id: str
    fields: Mapping[str, Any]


Records = dict[str, list[Found]] | Retry | Refuse
"""Records by what they are found by, in small letters; or why there are none."""


class Writer(Protocol):
    """Writes rows into a CRM; answers, never raises for what the CRM says."""

    def write(self, rows: Sequence[Row]) -> Answers:
        """Write `rows`, each of another record."""
        ...


class Crm(Protocol):
    """What a vendor's interface must be able to do; the rest is the same for all."""

    def find(
        self, field: str, values: Sequence[str], wanted: Sequence[str]
    ) -> list[Found] | Retry | Refuse:
        """Return the records in which `field` is one of `values`.

        Each has `field` itself among its fields, and those that are `wanted`.
        """
        ...

    def update(self, changes: Sequence[tuple[str, Fields]]) -> Answers:
        """Write fields into the records of these ids."""
        ...

    def create(self, records: Sequence[Fields]) -> Answers:
        """Make records; where one exists by now, write into that one."""
        ...


def named(message: object, fields: Sequence[str]) -> str:
    """Return which of our fields a vendor's message names; nothing else of it.

    Messages quote values, and values are people's.
    """
    text = str(message)
    return ", ".join(field for field in fields if field in text)
