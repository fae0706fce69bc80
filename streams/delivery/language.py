"""The delivery file as people write it: people, targets, and routes between them."""

from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field

from schemas.alert import AlertKind
from schemas.locale import Locale
from schemas.time import HOUR, WEEK
from schemas.workspace import Workspace
from scorers.parts import Name, Part, PositiveDuration
from scorers.policy import CLOCK, Day, QuietHours

Person = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#]+[^\s]*$", max_length=2_000)]

_RATE: Final = r"^[1-9]\d{0,5}/(second|minute|hour|day)$"
OWNER: Final = "owner"
"""Stands for whoever owns the lead, among those whom a target is for."""
_WORKDAYS: Final[list[Day]] = ["mon", "tue", "wed", "thu", "fri"]


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_OneOrSeveral: Final = BeforeValidator(_several, json_schema_input_type=str | list[str])
Words = Annotated[list[str], _OneOrSeveral, Field(min_length=1)]
"""One text, or several of which any will do."""


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"there is no time zone {name!r}: write one such as Europe/Berlin"
        raise ValueError(msg) from None
    return name


Zone = Annotated[str, AfterValidator(_zone)]


class Recipient(Part):
    """Somebody who is told, and how they are reached."""

    email: str | None = Field(None, pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$")
    """Their address."""
    slack: str | None = Field(None, pattern=r"^[UW][A-Z0-9]+$")
    """Their member id in Slack, such as U024BE7LH, to be mentioned by."""
    team: str | None = Field(None, min_length=1)
    """The team they are in."""
    owns: Words | None = None
    """What a lead's `owner` may say for them; their name here if absent."""
    language: Locale | None = None
    """The language they are told in; that of the file if absent."""
    zone: Zone | None = None
    """Their time zone, such as Asia/Tehran; that of the file if absent."""
    quiet_hours: QuietHours | None = None
    """Hours in which they are told nothing; it follows afterwards."""


class Digest(Part):
    """When what may wait is told, all at once."""

    at: Annotated[
        list[Annotated[str, Field(pattern=CLOCK)]],
        _OneOrSeveral,
        Field(min_length=1),
    ]
    """The times of day, such as "08:30"."""
    days: Annotated[list[Day], Field(min_length=1)] = _WORKDAYS
    """The days; Monday to Friday if absent."""
    zone: Zone | None = None
    """The time zone they are meant in; that of the file if absent."""
    everything: bool = False
    """Whether all alerts wait for it, not only those with `digest: true`."""


class Target(Part):
    """What every target has."""

    kind: str
    language: Locale | None = None
    """The language of its messages, where no person's own is known."""
    quiet_hours: QuietHours | None = None
    """Hours in which it is told nothing; what is due then follows afterwards."""
    digest: Digest | None = None
    """When what may wait is told; at once if absent."""
    rate: str | None = Field(None, pattern=_RATE)
    """At most so many messages, such as 1/second."""
    give_up_after: PositiveDuration = HOUR
    """How long one message is tried; then it is a dead letter."""
    lanes: Annotated[int, Field(strict=True, ge=1, le=32)] = 4
    """How many messages are on their way at once; those of one lead never are."""


class SlackTarget(Target):
    """A channel in Slack. Its secret is the bot's token (xoxb-…)."""

    kind: Literal["slack"]
    channel: str = Field(pattern=r"^[CGDU][A-Z0-9]+$")
    """The channel's id, such as C024BE91L."""
    api: Url = "https://slack.com/api/"
    """Where Slack's Web API is."""


class EmailTarget(Target):
    """Mail. Its secret is the password of the SMTP server's user."""

    kind: Literal["email"]
    host: str = Field(min_length=1)
    """The SMTP server."""
    port: int = Field(587, ge=1, le=65_535)
    """Its port."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is kept private; `none` for this machine only."""
    user: str | None = None
    """Who logs in there; nobody does if absent."""
    sender: str = Field(pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$")
    """The address that mails come from."""
    to: Words = [OWNER]
    """Whom it is for: people, or `owner`."""


class TeamsTarget(Target):
    """A channel in Microsoft Teams. Its secret is the URL of the workflow."""

    kind: Literal["teams"]


class WebhookTarget(Target):
    """Any system that takes webhooks as Standard Webhooks has them.

    Its secret is the key that they are signed with (whsec_…).
    """

    kind: Literal["webhook"]
    url: Url
    """Where they go."""


class PagerDutyTarget(Target):
    """PagerDuty's Events API, version 2. Its secret is the integration's key."""

    kind: Literal["pagerduty"]
    severity: Literal["critical", "error", "warning", "info"] = "warning"
    """How bad it is."""
    url: Url = "https://events.pagerduty.com/v2/enqueue"
    """Where events go."""


class TerminalTarget(Target):
    """The terminal, or log, of the delivery app."""

    kind: Literal["terminal"]


class Cap(Part):
    """How often one person is written to."""

    count: Annotated[int, Field(strict=True, ge=1, le=1_000)] = 1
    """So many mails …"""
    per: PositiveDuration = 2 * WEEK
    """… in so long a time, at the most."""


class FollowUpTarget(EmailTarget):
    """Guidance by mail to the lead itself, by stage and tier. Mind the law.

    Nobody is written to who does not want it (`do_not_email`), whose address is not
    known, or more often than `cap` allows.
    """

    kind: Literal["followup"]  # type: ignore[assignment]  # narrower on purpose
    templates: str | None = None
    """Folder of templates, beside this file; the shipped ones if absent."""
    reply_to: str | None = Field(None, pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$")
    """Where answers go; to the owner if their address is known, else the sender."""
    cap: Cap = Cap()
    """How often one person is written to."""


AnyTarget = Annotated[
    SlackTarget
    | EmailTarget
    | TeamsTarget
    | WebhookTarget
    | PagerDutyTarget
    | TerminalTarget
    | FollowUpTarget,
    Field(discriminator="kind"),
]


class When(Part):
    """What an alert must be for a route; of a list any will do, of keys all must."""

    kind: Annotated[list[AlertKind], _OneOrSeveral, Field(min_length=1)] | None = None
    """hot, cooled, surge, account-surge, stage, unworked."""
    alert: Words | None = None
    """The policy's name in the model."""
    route: Words | None = None
    """What the policy's `route` says."""
    tier: Words | None = None
    """The tier the lead is in: gold, silver, bronze, none."""
    stage: Words | None = None
    """The stage of its journey."""
    owner: Words | None = None
    """Who owns it: people, or what the CRM calls them; `none` for nobody."""
    team: Words | None = None
    """The team of whoever owns it."""
    account: Words | None = None
    """The company: its account id, name, or a domain."""
    workspace: Annotated[list[Workspace], _OneOrSeveral, Field(min_length=1)] | None = (
        None
    )
    """The workspace it is in."""
    traits: dict[str, Words] = {}
    """Traits and what they may be, such as {country: [DE, AT, CH]} for a territory."""


class Route(Part):
    """Who is told of which alerts."""

    name: Name
    """Stable name in words-with-dashes."""
    when: When = When()
    """Which alerts; all if absent."""
    to: Annotated[list[Name], _OneOrSeveral]
    """The targets that are told; none ([]) for nobody."""
    last: bool = True
    """Whether the routes below are not looked at any more."""


class Links(Part):
    """Where a message leads to."""

    lead: Url | None = None
    """A lead in the CRM, with {lead_id}, {user_id} or {email} in it."""
    account: Url | None = None
    """An account in the CRM, with {account_id} or {domain} in it."""


class DeliveryFile(Part):
    """Who is told what, where and when."""

    language: Locale = "en"
    """The language of messages: en or fa."""
    zone: Zone = "UTC"
    """The time zone of messages and digests."""
    links: Links = Links()
    """Where messages lead to."""
    people: dict[Person, Recipient] = {}
    """Who is told, by a short name."""
    targets: Annotated[dict[Name, AnyTarget], Field(min_length=1)]
    """Where they are told, by name."""
    routes: Annotated[list[Route], Field(min_length=1)]
    """Which alerts go where; the first route that fits decides."""
