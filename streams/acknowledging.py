"""What sales says of an alert, as the event that tells the pipeline.

A button in Slack, a link in a mail and `leadpulse alerts ack` all end here.
"""

import hashlib
from typing import Annotated, Final, Literal, get_args

import msgspec

from schemas.alert import Alert
from schemas.event import Event
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


_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class Answerable(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a button or a link must know to be answered; short, for it is sent."""

    alert_id: Annotated[str, msgspec.Meta(max_length=128)]
    user_id: _Id | None = None
    email: _Id | None = None
    anonymous_id: _Id | None = None


def answerable(alert: Alert) -> Answerable:
    """Return what names the lead of `alert`: one identifier, the strongest."""
    known = alert.identifiers
    if known.user_id:
        return Answerable(alert.id, user_id=known.user_id[0])
    if known.email:
        return Answerable(alert.id, email=known.email[0])
    return Answerable(alert.id, anonymous_id=next(iter(known.anonymous_id), None))


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
    named = f"{about.alert_id}\x00{verdict}\x00{by}".encode(errors="surrogatepass")
    return Event(
        id=f"work_{hashlib.blake2b(named, digest_size=16).hexdigest()}",
        type="track",
        channel="crm",
        name=EVENT_OF[verdict],
        occurred_at=to_datetime(now),
        received_at=to_datetime(now),
        user_id=about.user_id,
        email=about.email,
        anonymous_id=about.anonymous_id,
        properties={ALERT_PROPERTY: about.alert_id, BY_PROPERTY: by, "via": via},
        source=f"delivery-{via}",
        workspace=workspace,
    )
