"""A published version of a scoring model: what is in force from when on."""

from datetime import datetime
from typing import Annotated, Final

import msgspec

from schemas.score import ModelRef
from schemas.workspace import DEFAULT_WORKSPACE, Workspace

PRIMARY: Final = "primary"
"""The slot whose scores are the leads' own; every other one runs beside it."""

SLOT_PATTERN: Final = r"^[a-z][a-z0-9-]{0,39}$"
"""What a slot may be called."""


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From `at` on this model is in force in its slot.

    The same record is on every partition: a worker meets it at a place in the log
    beside the events. Records are never taken back; what was in force at an instant
    can be read off the topic as long as it exists. Of two records with the same
    instant the one with the greater `id` holds.
    """

    id: Annotated[str, msgspec.Meta(description="Slot and instant; the record's key.")]
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    model: ModelRef
    slot: Annotated[str, msgspec.Meta(pattern=SLOT_PATTERN)] = PRIMARY
    workspace: Workspace = DEFAULT_WORKSPACE
    text: Annotated[
        str,
        msgspec.Meta(
            description="The model file; left out if a version before had it."
        ),
    ] = ""
    thresholds: Annotated[
        dict[str, float],
        msgspec.Meta(description="Alerts that are entered at another score just now."),
    ] = {}
    alerts: Annotated[
        bool,
        msgspec.Meta(description="Whether a model beside the primary may alert, too."),
    ] = False
    ended: Annotated[
        bool, msgspec.Meta(description="Whether the slot ends instead.")
    ] = False
    published_at: Annotated[datetime, msgspec.Meta(tz=True)]
    note: str = ""
