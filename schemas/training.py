"""The training log: leads as they were when something was decided, and what came."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from schemas.score import Tier

At = Annotated[datetime, msgspec.Meta(tz=True)]


class TrainingSnapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A lead's score at the instant of a decision."""

    at: At
    why: Annotated[
        str, msgspec.Meta(description="alert:<name>, tier:<name> or scheduled.")
    ]
    score: float
    tier: Tier
    model: Annotated[str, msgspec.Meta(description="Digest of the model.")]
    groups: dict[str, float] = {}
    points: Annotated[
        dict[str, float],
        msgspec.Meta(description="What each rule gave, before the groups' caps."),
    ] = {}
    known: Annotated[
        dict[str, str | float | bool],
        msgspec.Meta(description="Properties of the lead, where the update has them."),
    ] = {}


class TrainingOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that the CRM said about what became of the lead."""

    event_id: str
    at: At
    kind: Literal["qualified", "won", "lost", "disqualified", "reopened", "corrected"]
    deal: str = ""
    amount: float | None = None
    currency: str = ""
    reason: str = ""
    won: bool | None = None


class TrainingWord(msgspec.Struct, frozen=True, kw_only=True):
    """One property of the lead, from the instant on at which the CRM said it."""

    at: Annotated[datetime, msgspec.Meta(tz=True, description="When it was received.")]
    name: str
    value: str | float


class TrainingRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is learnt from one lead: the latest record of a lead is the whole."""

    lead_id: str
    sequence: Annotated[
        int, msgspec.Meta(description="Of the last score update that is in it.")
    ] = 0
    snapshots: tuple[TrainingSnapshot, ...] = ()
    outcomes: tuple[TrainingOutcome, ...] = ()
    recent: Annotated[
        tuple[TrainingSnapshot, ...],
        msgspec.Meta(description="The last updates, until alerts have found theirs."),
    ] = ()
    waiting: Annotated[
        tuple[tuple[str, At], ...],
        msgspec.Meta(description="Alerts whose score update has not come yet."),
    ] = ()
    merged_into: str | None = None
    words: Annotated[
        tuple[TrainingWord, ...],
        msgspec.Meta(description="What the CRM said of stage, source, owner, value."),
    ] = ()
