"""Accounts: the companies that leads belong to, and what their people add up to."""

from datetime import datetime
from typing import Annotated

import msgspec

from schemas.alert import RecentEvent
from schemas.score import ModelRef, Tier

AccountId = Annotated[
    str, msgspec.Meta(description="Derived from the CRM's id or the mail domain.")
]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Sign(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One sign of life of a person: when it was (event time), what it gave."""

    at: _Moment
    points: float = 0.0


class MemberUpdate(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag="member",
    tag_field="kind",
    gc=False,
):
    """Where one lead stands, for the account it belongs to; internal.

    It says everything that the account needs to know of the lead, so the one with
    the largest `sequence` stands for all: repeated and stale ones change nothing.
    """

    account_id: AccountId
    lead_id: str
    sequence: Annotated[int, msgspec.Meta(ge=1)]
    as_of: Annotated[datetime, msgspec.Meta(tz=True, description="Instant it is for.")]
    left: Annotated[
        bool, msgspec.Meta(description="Whether the lead belongs here no longer.")
    ] = False
    withdrawn: Annotated[
        bool, msgspec.Meta(description="Whether it follows a retraction.")
    ] = False
    erased: Annotated[
        bool, msgspec.Meta(description="Whether the person must not be remembered.")
    ] = False
    score: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0
    tier: Tier = "none"
    grade: str = ""
    active_at: Annotated[
        _Moment | None, msgspec.Meta(description="The last sign of life.")
    ] = None
    active_days: Annotated[
        int,
        msgspec.Meta(
            ge=0, description="Bit n: active n days before the UTC day of `active_at`."
        ),
    ] = 0
    signs: Annotated[
        tuple[Sign, ...], msgspec.Meta(description="Recent signs of life, by time.")
    ] = ()
    name: Annotated[str, msgspec.Meta(description="The company, as the lead says.")] = (
        ""
    )
    domain: str | None = None
    owner: str | None = None
    stage: str | None = None
    last_event: RecentEvent | None = None


class AccountWakeup(
    msgspec.Struct, frozen=True, kw_only=True, tag="wakeup", tag_field="kind"
):
    """Look at this account: something was planned for `at`. A hint, never a fact."""

    account_id: AccountId
    at: _Moment


AccountCommand = MemberUpdate | AccountWakeup


class TopMember(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One of an account's strongest people."""

    lead_id: str
    score: Annotated[float, msgspec.Meta(ge=0, le=100)]
    tier: Tier


class AccountScore(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the people of an account add up to, after a change.

    `sequence` rises by one with every message of an account: keep the largest.
    """

    account_id: AccountId
    name: Annotated[str, msgspec.Meta(description="The company as people call it.")]
    domain: str | None
    sequence: Annotated[int, msgspec.Meta(ge=1)]
    score: Annotated[float, msgspec.Meta(ge=0, le=100)]
    previous: Annotated[float, msgspec.Meta(ge=0, le=100)]
    tier: Tier
    previous_tier: Tier
    members: Annotated[int, msgspec.Meta(ge=0, description="How many people it has.")]
    active: Annotated[
        int, msgspec.Meta(ge=0, description="How many of them the model calls active.")
    ]
    qualified: Annotated[
        bool, msgspec.Meta(description="Whether as many are active as the model asks.")
    ]
    top: Annotated[
        tuple[TopMember, ...], msgspec.Meta(description="The strongest five.")
    ]
    trend: Annotated[
        float, msgspec.Meta(description="Points gained since seven days before (UTC).")
    ]
    as_of: Annotated[datetime, msgspec.Meta(tz=True, description="Instant it is for.")]
    next_change_at: Annotated[
        _Moment | None,
        msgspec.Meta(description="When to look again if nothing else happens."),
    ]
    model: ModelRef
