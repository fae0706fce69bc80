"""MailerSend's webhooks: one event each, HMAC of the body."""

from typing import Final

from streams.collector.adapters.fields import (
    JsonObject,
    at,
    first_text,
    read_items,
    text,
    texts,
    when,
)
from streams.collector.adapters.mail import UNTYPED, Act, BounceType, Mail, take_mails
from streams.collector.adapters.provider import Envelope, Incoming, Provider, Taken
from streams.collector.adapters.signatures import hmac_of_body, signed
from streams.collector.verdict import Rejection

_ACTS: Final[dict[str, Act]] = {
    "activity.delivered": "delivered",
    "activity.opened": "opened",
    "activity.clicked": "clicked",
    "activity.hard_bounced": "bounced",
    "activity.soft_bounced": "bounced",
    "activity.spam_complaint": "complained",
    "activity.unsubscribed": "unsubscribed",
}
_BOUNCES: Final[dict[str, BounceType]] = {
    "activity.hard_bounced": "hard",
    "activity.soft_bounced": "soft",
}


def adapt(request: Incoming, envelope: Envelope) -> Taken:
    """Return the event of a request."""
    return take_mails("mailersend", read_items(request.body), _read, envelope)


def _read(item: JsonObject) -> Mail | Rejection | str:
    kind = text(item, "type")
    if kind is None:
        return UNTYPED
    act = _ACTS.get(kind)
    if act is None:
        return kind
    data = at(item, "data")
    email = at(data, "email")
    morph = at(data, "morph")
    recipient = text(email, "recipient", "email")
    stamp = text(data, "created_at") or text(item, "created_at")
    message = text(email, "message", "id") or text(email, "id")
    return Mail(
        act=act,
        email=recipient,
        at=when(stamp),
        ids=(text(data, "id") or (message, recipient, stamp), text(morph, "url")),
        email_id=message,
        campaign_id=next(iter(texts(email, "tags")), None),
        link_url=text(morph, "url"),
        subject=text(email, "subject"),
        bounce_type=_BOUNCES.get(kind),
        reason=first_text(morph, "reason", "readable_reason"),
        ip=text(morph, "ip"),
        user_agent=text(morph, "user_agent"),
        properties={
            "tags": texts(email, "tags") or None,
            "template_id": text(data, "template_id"),
        },
    )


MAILERSEND: Final = Provider(
    name="mailersend", adapt=adapt, guard=signed(hmac_of_body("signature"))
)
