"""Mailjet's event API and Parse API: grouped or single events, basic auth by URL."""

from typing import Final

from streams.collector.adapters.fields import (
    JsonObject,
    at,
    first_text,
    instant,
    read_items,
    scalar,
    text,
)
from streams.collector.adapters.inbound import replied
from streams.collector.adapters.mail import (
    UNTYPED,
    Act,
    BounceType,
    Mail,
    take_mails,
)
from streams.collector.adapters.provider import Envelope, Incoming, Provider, Taken
from streams.collector.verdict import Rejection

_ACTS: Final[dict[str, Act]] = {
    "sent": "delivered",
    "open": "opened",
    "click": "clicked",
    "bounce": "bounced",
    "spam": "complained",
    "unsub": "unsubscribed",
}


def adapt(request: Incoming, envelope: Envelope) -> Taken:
    """Return the events of a request; mail that came in is a reply."""
    return take_mails("mailjet", read_items(request.body), _read, envelope)


def _read(item: JsonObject) -> Mail | Rejection | str:
    kind = text(item, "event")
    if kind is None:
        if isinstance(headers := at(item, "Headers"), dict):
            return replied(
                headers,
                sender=first_text(item, "Sender", "From"),
                subject=text(item, "Subject"),
            )
        return UNTYPED
    act = _ACTS.get(kind)
    if act is None:
        return kind
    message = first_text(item, "Message_GUID", "MessageID")
    campaign = text(item, "customcampaign") or text(item, "mj_campaign_id")
    agent = text(item, "agent")
    return Mail(
        act=act,
        email=text(item, "email"),
        at=instant(item, "time"),
        ids=(message, text(item, "email"), text(item, "time"), text(item, "url")),
        email_id=message,
        campaign_id=None if campaign == "0" else campaign,
        link_url=text(item, "url"),
        bounce_type=_bounce_type(item) if act == "bounced" else None,
        reason=first_text(item, "error", "comment", "source"),
        ip=text(item, "ip"),
        user_agent=agent,
        properties={
            "custom_id": text(item, "CustomID"),
            "country": text(item, "geo"),
            "one_click": True if agent == "List-Unsubscribe" else None,
        },
    )


def _bounce_type(item: JsonObject) -> BounceType:
    if scalar(item, "hard_bounce") is True:
        return "hard"
    return "blocked" if scalar(item, "blocked") is True else "soft"


MAILJET: Final = Provider(name="mailjet", adapt=adapt)
