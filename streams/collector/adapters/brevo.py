"""Brevo's webhooks, transactional and marketing, one event each or batched."""

from typing import Final

from streams.collector.adapters.fields import (
    JsonObject,
    first_text,
    read_items,
    text,
    texts,
    when,
)
from streams.collector.adapters.mail import (
    UNTYPED,
    Act,
    BounceType,
    Mail,
    bare_id,
    take_mails,
)
from streams.collector.adapters.provider import Envelope, Incoming, Provider, Taken
from streams.collector.verdict import Rejection

_ACTS: Final[dict[str, Act]] = {
    "delivered": "delivered",
    "opened": "opened",
    "proxy_open": "opened",
    "click": "clicked",
    "hard_bounce": "bounced",
    "soft_bounce": "bounced",
    "blocked": "bounced",
    "invalid_email": "bounced",
    "spam": "complained",
    "unsubscribed": "unsubscribed",
    "unsubscribe": "unsubscribed",
}
_BOUNCES: Final[dict[str, BounceType]] = {
    "hard_bounce": "hard",
    "invalid_email": "hard",
    "soft_bounce": "soft",
    "blocked": "blocked",
}


def adapt(request: Incoming, envelope: Envelope) -> Taken:
    """Return the events of a request."""
    return take_mails("brevo", read_items(request.body), _read, envelope)


def _read(item: JsonObject) -> Mail | Rejection | str:
    kind = text(item, "event")
    if kind is None:
        return UNTYPED
    act = _ACTS.get(kind)
    if act is None:
        return kind
    message = bare_id(text(item, "message-id"))
    campaign = text(item, "camp_id")
    link = first_text(item, "link", "URL")
    stamp = first_text(item, "ts_epoch", "ts_event", "ts")
    return Mail(
        act=act,
        email=text(item, "email"),
        at=when(stamp),
        ids=(kind, message, campaign, text(item, "email"), stamp, link),
        email_id=message,
        campaign_id=campaign
        or text(item, "tag")
        or next(iter(texts(item, "tags")), None),
        link_url=link,
        subject=text(item, "subject"),
        bounce_type=_BOUNCES.get(kind),
        reason=text(item, "reason"),
        ip=text(item, "ip"),
        user_agent=text(item, "user_agent"),
        machine=kind == "proxy_open",
        properties={
            "proxy_open": True if kind == "proxy_open" else None,
            "device": text(item, "device_used"),
            "campaign_name": text(item, "campaign name"),
            "tags": texts(item, "tags") or None,
            "template_id": text(item, "template_id"),
        },
    )


BREVO: Final = Provider(name="brevo", adapt=adapt)
