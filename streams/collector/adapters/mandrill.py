"""Mandrill's webhooks: a form with a list of events, signed over URL and fields."""

import base64
import hashlib
import hmac
from typing import Final

from streams.collector.adapters.fields import (
    JsonObject,
    at,
    instant,
    read_items,
    scalar,
    text,
    texts,
)
from streams.collector.adapters.form import form_fields
from streams.collector.adapters.inbound import replied
from streams.collector.adapters.mail import (
    UNTYPED,
    Act,
    BounceType,
    Mail,
    take_mails,
)
from streams.collector.adapters.provider import (
    Envelope,
    Incoming,
    Provider,
    Reply,
    Taken,
    Trust,
)
from streams.collector.adapters.signatures import require_signature, same
from streams.collector.verdict import RefusedError, Rejection

_ACTS: Final[dict[str, Act]] = {
    "delivered": "delivered",
    "open": "opened",
    "click": "clicked",
    "hard_bounce": "bounced",
    "soft_bounce": "bounced",
    "spam": "complained",
    "unsub": "unsubscribed",
}
_BOUNCES: Final[dict[str, BounceType]] = {"hard_bounce": "hard", "soft_bounce": "soft"}


def adapt(request: Incoming, envelope: Envelope) -> Taken:
    """Return the events of a request; mail that came in is a reply."""
    events = dict(form_fields(request)).get("mandrill_events")
    if events is None:
        msg = "there is no field mandrill_events"
        raise RefusedError(400, "invalid-form", msg)
    return take_mails("mandrill", read_items(events.encode()), _read, envelope)


def _read(item: JsonObject) -> Mail | Rejection | str:
    kind = text(item, "event") or text(item, "type")
    if kind is None:
        return UNTYPED
    message = at(item, "msg")
    if kind == "inbound":
        return replied(
            at(message, "headers"),
            sender=text(message, "from_email"),
            subject=text(message, "subject"),
            at=instant(item, "ts"),
        )
    act = _ACTS.get(kind)
    if act is None:
        return kind
    message_id = text(item, "_id") or text(message, "_id")
    recipient = text(message, "email")
    agent = at(item, "user_agent_parsed")
    return Mail(
        act=act,
        email=recipient,
        at=instant(item, "ts"),
        ids=(message_id, recipient, text(item, "ts"), text(item, "url")),
        email_id=message_id,
        campaign_id=text(message, "metadata", "campaign_id")
        or next(iter(texts(message, "tags")), None),
        link_url=text(item, "url"),
        subject=text(message, "subject"),
        bounce_type=_BOUNCES.get(kind),
        reason=text(message, "diag") or text(message, "bounce_description"),
        ip=text(item, "ip"),
        user_agent=text(item, "user_agent"),
        properties={
            "client_type": text(agent, "type"),
            "client_name": text(agent, "ua_name"),
            "mobile": scalar(agent, "mobile"),
            "country": text(item, "location", "country_short"),
            "tags": texts(message, "tags") or None,
            "template_id": text(message, "template"),
        },
    )


def _is_signed(request: Incoming, secret: str) -> bool:
    """Say whether it is signed: HMAC-SHA1 over the URL and all fields in order."""
    try:
        fields = sorted(form_fields(request))
    except RefusedError:
        return False
    content = request.url + "".join(f"{name}{value}" for name, value in fields)
    digest = hmac.digest(
        secret.encode(), content.encode(errors="replace"), hashlib.sha1
    )
    expected = base64.b64encode(digest).decode()
    return same(expected, request.headers.get("x-mandrill-signature"))


async def _guard(request: Incoming, trust: Trust) -> Reply | None:
    if request.method == "HEAD":  # asked when the webhook is made: is anybody there?
        return Reply()
    require_signature(request, trust, _is_signed)
    return None


MANDRILL: Final = Provider(
    name="mandrill", adapt=adapt, methods=("POST", "HEAD"), guard=_guard
)
