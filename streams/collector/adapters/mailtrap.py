"""Mailtrap's e-mail sending webhooks: grouped events, HMAC of the body."""

from typing import Final

from streams.collector.adapters.fields import (
    JsonObject,
    instant,
    objects,
    read_object,
    text,
)
from streams.collector.adapters.mail import UNTYPED, Act, Mail, encoded, take_mails
from streams.collector.adapters.provider import Envelope, Incoming, Provider, Taken
from streams.collector.adapters.signatures import hmac_of_body, signed
from streams.collector.verdict import Rejection

_ACTS: Final[dict[str, Act]] = {
    "delivery": "delivered",
    "open": "opened",
    "click": "clicked",
    "bounce": "bounced",
    "soft bounce": "bounced",
    "spam": "complained",
    "unsubscribe": "unsubscribed",
}


def adapt(request: Incoming, envelope: Envelope) -> Taken:
    """Return the events of a request."""
    items = encoded(objects(read_object(request.body), "events"))
    return take_mails("mailtrap", items, _read, envelope)


def _read(item: JsonObject) -> Mail | Rejection | str:
    kind = text(item, "event")
    if kind is None:
        return UNTYPED
    act = _ACTS.get(kind)
    if act is None:
        return kind
    message = text(item, "message_id")
    return Mail(
        act=act,
        email=text(item, "email"),
        at=instant(item, "timestamp"),
        ids=(
            # An example of theirs gives all events of a mail the same id.
            text(item, "event_id"),
            message,
            text(item, "email"),
            text(item, "timestamp"),
            text(item, "url"),
        ),
        email_id=message,
        campaign_id=text(item, "category"),
        link_url=text(item, "url"),
        bounce_type="soft"
        if kind == "soft bounce"
        else "hard"
        if act == "bounced"
        else None,
        reason=text(item, "response") or text(item, "reason"),
        ip=text(item, "ip"),
        user_agent=text(item, "user_agent"),
        properties={
            "bounce_category": text(item, "bounce_category"),
            "stream": text(item, "sending_stream"),
        },
    )


MAILTRAP: Final = Provider(
    name="mailtrap",
    adapt=adapt,
    guard=signed(hmac_of_body("mailtrap-signature")),
)
