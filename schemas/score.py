"""The score update: the contract with CRMs (one message per published change)."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

Tier = Annotated[str, msgspec.Meta(description="gold, silver, bronze or none.")]
NO_TIER = "none"

CLIP_MARK = "/"
"""Begins the key of a ledger's line that is no rule's; no rule's name begins so."""

WHOLE_SCORE = ""
"""Stands for the group in a ledger where a line is about the whole score."""

ROUNDING = f"{CLIP_MARK}rounding"
"""The line of the whole score by which rounding moved it."""


class Reason(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One line of the explanation: what a rule gives to the score right now."""

    rule: Annotated[
        str, msgspec.Meta(description="The rule's name, or that of a dormancy.")
    ]
    group: Annotated[
        str, msgspec.Meta(description="Its group; empty where it is about several.")
    ]
    points: Annotated[
        float,
        msgspec.Meta(description="Points after decay and the rule's own maximum."),
    ]
    text: Annotated[str, msgspec.Meta(description="The reason in a plain sentence.")]
    last_at: Annotated[
        Annotated[datetime, msgspec.Meta(tz=True)] | None,
        msgspec.Meta(description="When it last happened, where that is known."),
    ] = None
    count: Annotated[int, msgspec.Meta(ge=0, description="How often, if known.")] = 0


MachineReason = Literal[
    "flagged",
    "staff",
    "honeypot",
    "burst",
    "all-links",
    "at-delivery",
    "automation",
    "crawler",
    "data-centre",
    "privacy-proxy",
    "image-proxy",
]
"""Why an event is a machine's; of several the first of these is told."""

MachineAct = Literal["opened", "clicked", "unsubscribed", "did"]
"""What the machine did, as far as it matters for what people are told."""


class NotCounted(msgspec.Struct, frozen=True, kw_only=True):
    """What machines lately did in a lead's name; it gives no points."""

    reason: MachineReason
    act: MachineAct
    count: Annotated[int, msgspec.Meta(ge=1, description="How often, of the last.")]
    last_at: Annotated[datetime, msgspec.Meta(tz=True)]
    text: Annotated[str, msgspec.Meta(description="The same in a plain sentence.")]
    events: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="The events: 64 bits of BLAKE2b over each id, hexadecimal."
        ),
    ] = ()


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """What a lead did that gives no points, for there was no consent to a purpose."""

    purpose: Annotated[
        str, msgspec.Meta(description="The purpose, and its channel where it has one.")
    ]
    count: Annotated[
        int, msgspec.Meta(ge=0, description="Events, of those that are remembered.")
    ]
    text: Annotated[str, msgspec.Meta(description="The same in a plain sentence.")]
    everything: Annotated[
        bool, msgspec.Meta(description="Whether the whole score is withheld now.")
    ] = False
    since: Annotated[
        Annotated[datetime, msgspec.Meta(tz=True)] | None,
        msgspec.Meta(
            description="Since when consent is refused; null where it was never given, "
            "and where it is given by now."
        ),
    ] = None
    events: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="The latest of the events: 64 bits of BLAKE2b over each id, "
            "hexadecimal."
        ),
    ] = ()


CauseKind = Literal[
    "event", "decay", "inactivity", "absence", "merge", "model", "retraction", "outcome"
]


class Cause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Why this update was published."""

    kind: CauseKind
    event_id: str | None = None
    rule: str | None = None


class ModelRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which model, in which version, computed a figure."""

    name: str
    version: str
    digest: Annotated[str, msgspec.Meta(description="First 12 hex digits of SHA-256.")]
    thresholds: Annotated[
        dict[str, float],
        msgspec.Meta(
            description="Alerts that begin at another score than the model says."
        ),
    ] = {}


class Identifiers(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Every identifier the lead is known by, sorted."""

    email: tuple[str, ...] = ()
    user_id: tuple[str, ...] = ()
    anonymous_id: tuple[str, ...] = ()


class ScoreUpdate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A lead's score after a change. Zero is published as zero, never left out.

    `sequence` rises by one with every update of a lead, so a consumer can drop a
    stale or repeated one: keep the largest.
    """

    lead_id: str
    sequence: Annotated[int, msgspec.Meta(ge=1)]
    score: Annotated[float, msgspec.Meta(ge=0, le=100)]
    previous: Annotated[float, msgspec.Meta(ge=0, le=100)]
    delta: float
    tier: Tier
    previous_tier: Tier
    grade: Annotated[
        str, msgspec.Meta(description="Fit and engagement as A1 … D4; empty if unset.")
    ]
    groups: Annotated[
        dict[str, float],
        msgspec.Meta(description="What each group gives, after cap and dormancy."),
    ]
    reasons: Annotated[
        tuple[Reason, ...],
        msgspec.Meta(description="Up to five for and five against, strongest first."),
    ]
    cause: Cause
    as_of: Annotated[datetime, msgspec.Meta(tz=True, description="Instant it is for.")]
    next_change_at: Annotated[
        Annotated[datetime, msgspec.Meta(tz=True)] | None,
        msgspec.Meta(description="When it changes next if nothing else happens."),
    ]
    model: ModelRef
    identifiers: Identifiers
    account_id: str | None = None
    owner: str | None = None
    do_not_email: Annotated[
        bool,
        msgspec.Meta(description="Whether the person refuses to be followed by mail."),
    ] = False
    ledger: Annotated[
        dict[str, dict[str, float]],
        msgspec.Meta(
            description="How the score adds up, by group: points of each rule after "
            "decay and the rule's own maximum, and under keys that begin with / what "
            "a group's cap or floor takes or gives; what silence takes, under the "
            "name of the dormancy. The empty group holds what is done "
            "to the whole: /highest-score, /lowest-score, /rounding. All lines sum to "
            "`score`, a group's lines to its points. Empty where nothing gives points, "
            "and in updates from before there was a ledger."
        ),
    ] = {}
    merged_into: Annotated[
        str | None,
        msgspec.Meta(
            description="Set where this is no lead any more: it is part of that one."
        ),
    ] = None
    not_counted: Annotated[
        tuple[NotCounted, ...],
        msgspec.Meta(
            description="What machines lately did in the lead's name, the latest "
            "first. It is kept and gives no points."
        ),
    ] = ()
    withheld: Annotated[
        tuple[Withheld, ...],
        msgspec.Meta(
            description="What the lead did that gives no points for want of consent, "
            "by purpose."
        ),
    ] = ()
