"""The alert: what a salesperson is told, once per episode, and why."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from schemas.score import Identifiers, ModelRef, Reason, Tier

AlertKind = Literal["hot", "cooled", "surge", "account-surge", "stage", "unworked"]

DecisionReason = Literal[
    "crossed-threshold",
    "re-rose",
    "cooldown-over",
    "fell-below",
    "still-hot",
    "not-hot",
    "cooldown",
    "inside-hysteresis",
    "dwell",
    "inhibited",
    "quiet-hours",
    "recalled",
    "surged",
    "no-surge",
    "usual",
    "stage-entered",
    "unacknowledged",
    "acknowledged",
]


class RecentEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One of the lead's last scored events, for the person who will call."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    name: str
    channel: str
    detail: str = ""


class DealValue(msgspec.Struct, frozen=True, kw_only=True):
    """What the deal may be worth."""

    amount: float
    currency: str


class AlertedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The account that an alert is about, and who of it is active."""

    name: str
    domain: str | None
    members: Annotated[int, msgspec.Meta(ge=0, description="How many people it has.")]
    people: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Lead ids of the active people, strongest first."),
    ]
    within_seconds: Annotated[
        float, msgspec.Meta(description="The time within which they were active.")
    ]
    usual: Annotated[
        float | None,
        msgspec.Meta(description="People on a usual day, where that was asked."),
    ] = None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One decision that a person should hear of.

    `id` is derived from lead, alert and episode: a repeated delivery repeats the
    id, so a consumer that remembers ids sees each alert once.
    """

    id: str
    lead_id: str
    alert: Annotated[str, msgspec.Meta(description="The policy's name in the model.")]
    kind: AlertKind
    episode: Annotated[int, msgspec.Meta(ge=1)]
    reason: DecisionReason
    score: Annotated[float, msgspec.Meta(ge=0, le=100)]
    previous: Annotated[float, msgspec.Meta(ge=0, le=100)]
    threshold: float
    tier: Tier
    grade: str
    reasons: tuple[Reason, ...]
    last_events: tuple[RecentEvent, ...]
    next_action: Annotated[
        str, msgspec.Meta(description="What to do at this stage of the journey.")
    ]
    occurred_at: Annotated[
        datetime,
        msgspec.Meta(tz=True, description="The instant of the crossing (event time)."),
    ]
    decided_at: Annotated[
        datetime,
        msgspec.Meta(tz=True, description="The processing time it was decided at."),
    ]
    model: ModelRef
    identifiers: Identifiers
    event_id: str | None = None
    owner: str | None = None
    stage: str | None = None
    deal_value: DealValue | None = None
    traits: dict[str, Any] = {}
    recalls: Annotated[
        str | None, msgspec.Meta(description="Id of the alert this one withdraws.")
    ] = None
    route: Annotated[
        str | None, msgspec.Meta(description="Who should hear of it, by the policy.")
    ] = None
    digest: Annotated[
        bool, msgspec.Meta(description="Whether it may wait for the next digest.")
    ] = False
    account_id: str | None = None
    account: Annotated[
        AlertedAccount | None,
        msgspec.Meta(description="Set where the alert is about a whole account."),
    ] = None

    @property
    def subject(self) -> str:
        """The id of whom it is about: the account of an account's alert, or the lead.

        An account's strongest person may be another one at every alert.
        """
        about_account = self.account is not None and self.account_id is not None
        return self.account_id or "" if about_account else self.lead_id

    do_not_email: Annotated[
        bool,
        msgspec.Meta(description="Whether the person refuses to be followed by mail."),
    ] = False
    note: Annotated[
        str,
        msgspec.Meta(
            description="A sentence, where it began at another score than the model's."
        ),
    ] = ""
