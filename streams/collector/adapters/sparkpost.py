"""SparkPost's event webhooks and its relayed mail. Known by the write key."""

import base64
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
from streams.collector.adapters.inbound import headers_of_mime, replied
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
    "delivery": "delivered",
    "open": "opened",
    "amp_open": "opened",
    "click": "clicked",
    "amp_click": "clicked",
    "bounce": "bounced",
    "out_of_band": "bounced",
    "spam_complaint": "complained",
    "list_unsubscribe": "unsubscribed",
    "link_unsubscribe": "unsubscribed",
}
_EVENTS: Final = (
    "message_event",
    "track_event",
    "gen_event",
    "unsubscribe_event",
    "relay_message",
)
_HARD: Final = frozenset({"10", "30"})
_BLOCKED: Final = frozenset({"25", "50", "51", "52", "53", "54"})
_UNDETERMINED: Final = frozenset({"1"})
_NO_BOUNCE: Final = frozenset({"60", "80"})
"""Somebody's automatic answer, or a wish to subscribe."""
_UNSUBSCRIBE: Final = "90"


def adapt(request: Incoming, envelope: Envelope) -> Taken:
    """Return the events of a request; a relayed mail is a reply."""
    return take_mails("sparkpost", read_items(request.body), _read, envelope)


def _read(item: JsonObject) -> Mail | Rejection | str:
    message = at(item, "msys")
    if message == {}:
        return "ping"
    for name in _EVENTS:
        if isinstance(event := at(message, name), dict):
            return _relayed(event) if name == "relay_message" else _event(event)
    return next(iter(message), "other") if isinstance(message, dict) else UNTYPED


def _event(event: JsonObject) -> Mail | Rejection | str:
    kind = text(event, "type")
    if kind is None:
        return UNTYPED
    act = _ACTS.get(kind)
    bounce_class = text(event, "bounce_class") or ""
    if act == "bounced" and bounce_class == _UNSUBSCRIBE:
        act = "unsubscribed"
    if act is None or (act == "bounced" and bounce_class in _NO_BOUNCE):
        return kind
    agent = at(event, "user_agent_parsed")
    prefetched = scalar(agent, "is_prefetched")
    message = first_text(event, "transmission_id", "message_id")
    recipient = first_text(event, "raw_rcpt_to", "rcpt_to")
    return Mail(
        act=act,
        email=recipient,
        at=instant(event, "timestamp"),
        ids=(
            text(event, "event_id")
            or (message, recipient, text(event, "timestamp"), kind),
        ),
        email_id=message,
        campaign_id=text(event, "campaign_id"),
        link_url=text(event, "target_link_url"),
        subject=text(event, "subject"),
        bounce_type=_bounce_type(bounce_class) if act == "bounced" else None,
        reason=first_text(event, "raw_reason", "reason"),
        ip=text(event, "ip_address"),
        user_agent=text(event, "user_agent"),
        machine=prefetched is True,
        properties={
            "is_prefetched": prefetched,
            "is_proxy": scalar(agent, "is_proxy"),
            "bounce_class": bounce_class,
            "link_name": text(event, "target_link_name"),
            "country": text(event, "geo_ip", "country"),
            "one_click": True if kind == "list_unsubscribe" else None,
        },
    )


def _bounce_type(bounce_class: str) -> BounceType:
    if bounce_class in _HARD:
        return "hard"
    if bounce_class in _BLOCKED:
        return "blocked"
    return "undetermined" if bounce_class in _UNDETERMINED else "soft"


def _relayed(event: JsonObject) -> Mail:
    content = at(event, "content")
    return replied(
        _headers(content),
        sender=first_text(event, "friendly_from", "msg_from"),
        subject=text(content, "subject"),
    )


def _headers(content: object) -> object:
    """Return the headers of a relayed mail: apart, or the head of the raw one."""
    if (headers := at(content, "headers")) is not None:
        return headers
    raw = at(content, "email_rfc822")
    if not isinstance(raw, str):
        return None
    if scalar(content, "email_rfc822_is_base64") is True:
        try:
            raw = base64.b64decode(raw).decode(errors="replace")
        except ValueError:
            return None
    return headers_of_mime(raw)


SPARKPOST: Final = Provider(name="sparkpost", adapt=adapt)
