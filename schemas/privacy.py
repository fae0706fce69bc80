"""Erasure on the wire: who must not be known again, and the record that it was done."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

Subject = Annotated[
    str,
    msgspec.Meta(description="Keyed hash of a lead id: only the key's owner finds it."),
]


class Suppression(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person did must not be scored or kept: they were erased.

    The same record is on every partition, keyed by `subject`: there is one for each
    identifier of the person, for each is a lead id by itself.
    """

    subject: Subject
    key_id: Annotated[str, msgspec.Meta(description="Tells which key made the hash.")]
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    lifted_at: Annotated[
        Annotated[datetime, msgspec.Meta(tz=True)] | None,
        msgspec.Meta(description="What is received from then on counts again."),
    ] = None


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to a person's data, for whom it must be shown; not who it was."""

    kind: Literal["erasure", "lift"]
    subject: Subject
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    by: Annotated[str, msgspec.Meta(description="Who asked for it.")] = ""
    removed: Annotated[
        dict[str, int], msgspec.Meta(description="How much of what was removed.")
    ] = {}
