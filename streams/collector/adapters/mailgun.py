"""Mailgun's webhooks, its older ones as forms, and its inbound routes. HMAC signed."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.time import Instant
from streams.collector.adapters.fields import (
    JsonObject,
    at,
    instant,
    parse_json,
    read_object,
    scalar,
    text,
    texts,
)
from streams.collector.adapters.form import form_fields, is_form
from streams.collector.adapters.inbound import (
    headers_by_name,
    headers_of_mime,
    replied,
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
from streams.collector.adapters.signatures import (
    hmac_sha256,
    same,
    seconds,
    signed,
)
from streams.collector.verdict import RefusedError, Rejection

_ACTS: Final[dict[str, Act]] = {
    "delivered": "delivered",
    "opened": "opened",
    "clicked": "clicked",
    "failed": "bounced",
    "bounced": "bounced",
    "complained": "complained",
    "unsubscribed": "unsubscribed",
}
_SUPPRESSED: Final = "suppress-"
"""Not sent for what happened before: nothing new."""
_REPEATS_SECONDS: Final = 43_200
"""Mailgun repeats for eight hours what was not taken."""


def adapt(request: Incoming, envelope: Envelope) -> Taken:
    """Return the event of a request, new or old form; a routed mail is a reply."""
    if is_form(request):
        items = [(request.body, _fields(request))]
        return take_mails("mailgun", items, _read_form, envelope)
    items = [(request.body, at(read_object(request.body), "event-data") or {})]
    return take_mails("mailgun", items, _read, envelope)


def _read(item: JsonObject) -> Mail | Rejection | str:
    kind = text(item, "event")
    if kind is None:
        return UNTYPED
    act = _ACTS.get(kind)
    reason = text(item, "reason")
    if act is None or (kind == "failed" and (reason or "").startswith(_SUPPRESSED)):
        return kind
    client = at(item, "client-info")
    bot = text(client, "bot")
    robot = text(client, "client-type") == "robot"
    message = bare_id(text(item, "message", "headers", "message-id"))
    recipient = text(item, "recipient")
    campaign = next(iter(texts(item, "tags")), None)
    return Mail(
        act=act,
        email=recipient,
        at=instant(item, "timestamp"),
        ids=(
            text(item, "id") or (message, recipient, text(item, "timestamp")),
            text(item, "url"),
        ),
        email_id=message,
        campaign_id=campaign,
        link_url=text(item, "url"),
        subject=text(item, "message", "headers", "subject"),
        bounce_type=_bounce_type(item) if act == "bounced" else None,
        reason=text(item, "delivery-status", "description")
        or text(item, "delivery-status", "message")
        or reason,
        ip=text(item, "ip"),
        user_agent=text(client, "user-agent"),
        machine=robot or bot is not None,
        properties={
            "bot": bot,
            "client_type": text(client, "client-type"),
            "client_name": text(client, "client-name"),
            "country": text(item, "geolocation", "country"),
            "tags": texts(item, "tags") or None,
            "code": scalar(item, "delivery-status", "code"),
        },
    )


def _bounce_type(item: JsonObject) -> BounceType:
    if text(item, "severity") == "temporary":
        return "soft"
    return "hard" if text(item, "reason") in {"bounce", "generic", None} else "blocked"


_LAST: Final = frozenset({"token", "timestamp", "signature", "url"})


def _fields(request: Incoming) -> dict[str, Any]:
    """Return a form's fields; of two that have the same name, the one of Mailgun.

    The sender's own variables come before the signature and after the event.
    """
    fields: dict[str, Any] = {}
    for name, value in form_fields(request):
        if name in _LAST:
            fields[name] = value
        else:
            fields.setdefault(name, value)
    return fields


def _read_form(item: JsonObject) -> Mail | Rejection | str:
    kind = text(item, "event")
    if kind is None:
        return _routed(item)
    act = _ACTS.get(kind)
    if act is None:
        return kind
    headers = headers_by_name(parse_json(text(item, "message-headers")))
    message = bare_id(
        text(item, "Message-Id")
        or text(item, "message-id")
        or headers.get("message-id")
    )
    recipient = text(item, "recipient")
    return Mail(
        act=act,
        email=recipient,
        at=instant(item, "timestamp"),
        ids=(message, recipient, text(item, "timestamp"), text(item, "token")),
        email_id=message,
        campaign_id=text(item, "campaign-id") or text(item, "tag"),
        link_url=text(item, "url"),
        subject=headers.get("subject"),
        bounce_type=_legacy_bounce(item) if act == "bounced" else None,
        reason=text(item, "error") or text(item, "description"),
        ip=text(item, "ip"),
        user_agent=text(item, "user-agent"),
        machine=text(item, "client-type") == "robot",
        properties={
            "client_type": text(item, "client-type"),
            "client_name": text(item, "client-name"),
            "country": text(item, "country"),
            "code": text(item, "code"),
        },
    )


def _legacy_bounce(item: JsonObject) -> BounceType:
    return "soft" if (text(item, "code") or "5").startswith("4") else "hard"


def _routed(item: JsonObject) -> Mail | Rejection:
    """Return the reply that a mail is which a route handed on."""
    sender = text(item, "from") or text(item, "sender")
    if sender is None:
        return UNTYPED
    mime = text(item, "body-mime")
    headers = (
        headers_of_mime(mime)
        if mime is not None
        else parse_json(text(item, "message-headers"))
    )
    return replied(
        headers,
        sender=sender,
        subject=text(item, "subject"),
        message_id=text(item, "Message-Id"),
        at=instant(item, "timestamp"),
    )


def _signature(request: Incoming) -> Mapping[str, Any]:
    try:
        if is_form(request):
            return _fields(request)
        found = at(read_object(request.body), "signature")
    except RefusedError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _is_signed(request: Incoming, secret: str) -> bool:
    fields = _signature(request)
    signed_text = f"{text(fields, 'timestamp')}{text(fields, 'token')}"
    expected = hmac_sha256(secret.encode(), signed_text.encode(errors="replace"))
    return same(expected.hex(), text(fields, "signature"))


def _signed_at(request: Incoming) -> Instant | None:
    return seconds(text(_signature(request), "timestamp"))


MAILGUN: Final = Provider(
    name="mailgun",
    adapt=adapt,
    guard=signed(_is_signed, _signed_at, window_seconds=_REPEATS_SECONDS),
)
