"""What sales says of an alert or a lead, as the event that tells the pipeline.

A button in Slack, a link in a mail, `leadpulse alerts ack` and the web app end here.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final, Literal, get_args

import msgspec

from schemas.alert import Alert
from schemas.event import Event
from schemas.score import Identifiers
from schemas.time import Instant, to_datetime
from schemas.workspace import DEFAULT_WORKSPACE

Verdict = Literal["taken", "unfit"]
"""taken: somebody is on it. unfit: it is no lead for us."""

VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
EVENT_OF: Final[dict[Verdict, str]] = {
    "taken": "Lead Acknowledged",
    "unfit": "Lead Disqualified",
}
ALERT_PROPERTY: Final = "alert_id"
BY_PROPERTY: Final = "by"
VIA_PROPERTY: Final = "via"
UNTIL_PROPERTY: Final = "until"
"""Of a snooze: when it ends, in milliseconds since 1970."""
OWNER_PROPERTY: Final = "owner"


_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class Answerable(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a button or a link must know to be answered; short, for it is sent."""

    alert_id: Annotated[str, msgspec.Meta(max_length=128)]
    user_id: _Id | None = None
    email: _Id | None = None
    anonymous_id: _Id | None = None


def answerable(alert: Alert) -> Answerable:
    """Return what names the lead of `alert`: one identifier, the strongest."""
    return answerable_as(alert.id, alert.identifiers)


def answerable_as(alert_id: str, known: Identifiers) -> Answerable:
    """Return what names a lead `known` by these identifiers, for what `alert_id` is."""
    if known.user_id:
        return Answerable(alert_id, user_id=known.user_id[0])
    if known.email:
        return Answerable(alert_id, email=known.email[0])
    return Answerable(alert_id, anonymous_id=next(iter(known.anonymous_id), None))


def work_event(
    about: Answerable,
    verdict: Verdict,
    *,
    by: str,
    via: str,
    now: Instant,
    workspace: str = DEFAULT_WORKSPACE,
) -> Event:
    """Return the event that `verdict` is; the same one however often it is said.

    `by` is who said it, as the place calls them; `via` the place: slack, mail, cli.

    Raises
    ------
    ValueError
        When `about` names nobody.
    """
    named = (about.alert_id, verdict, by)
    return _event(
        about,
        EVENT_OF[verdict],
        named,
        {},
        by=by,
        via=via,
        now=now,
        workspace=workspace,
    )


def snooze_event(
    about: Answerable,
    *,
    until: Instant,
    by: str,
    via: str,
    now: Instant,
    workspace: str = DEFAULT_WORKSPACE,
) -> Event:
    """Return the event that `by` looks at the lead again at `until`, not before.

    Raises
    ------
    ValueError
        When `about` names nobody.
    """
    named = (about.alert_id, "snoozed", by, str(until))
    said = {UNTIL_PROPERTY: until}
    return _event(
        about, "Lead Snoozed", named, said, by=by, via=via, now=now, workspace=workspace
    )


def assign_event(
    about: Answerable,
    *,
    owner: str,
    by: str,
    via: str,
    now: Instant,
    workspace: str = DEFAULT_WORKSPACE,
) -> Event:
    """Return the event that the lead is `owner`'s from now on.

    Raises
    ------
    ValueError
        When `about` names nobody.
    """
    named = (about.alert_id, "assigned", by, owner, str(now))
    said = {OWNER_PROPERTY: owner}
    return _event(
        about,
        "Lead Assigned",
        named,
        said,
        by=by,
        via=via,
        now=now,
        workspace=workspace,
    )


def _event(
    about: Answerable,
    name: str,
    named: tuple[str, ...],
    said: Mapping[str, str | int],
    *,
    by: str,
    via: str,
    now: Instant,
    workspace: str,
) -> Event:
    """Return an event about a lead; those that are `named` alike are the same."""
    digest = hashlib.blake2b(
        "\x00".join(named).encode(errors="surrogatepass"), digest_size=16
    )
    return Event(
        id=f"work_{digest.hexdigest()}",
        type="track",
        channel="crm",
        name=name,
        occurred_at=to_datetime(now),
        received_at=to_datetime(now),
        user_id=about.user_id,
        email=about.email,
        anonymous_id=about.anonymous_id,
        properties={
            ALERT_PROPERTY: about.alert_id,
            BY_PROPERTY: by,
            VIA_PROPERTY: via,
            **said,
        },
        source=f"delivery-{via}",
        workspace=workspace,
    )
