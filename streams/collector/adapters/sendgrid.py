"""SendGrid's event webhook (ECDSA signed) and its inbound parse."""

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
from streams.collector.adapters.inbound import headers_of_mime, replied
from streams.collector.adapters.mail import (
    UNTYPED,
    Act,
    BounceType,
    Mail,
    mail_event,
    take_mails,
)
from streams.collector.adapters.provider import Envelope, Incoming, Provider, Taken
from streams.collector.adapters.signatures import (
    sendgrid_signed_at,
    signed,
    signed_by_sendgrid,
)
from streams.collector.verdict import Rejection

_ACTS: Final[dict[str, Act]] = {
    "delivered": "delivered",
    "open": "opened",
    "click": "clicked",
    "bounce": "bounced",
    "spamreport": "complained",
    "unsubscribe": "unsubscribed",
    "group_unsubscribe": "unsubscribed",
}
_SOFT: Final = frozenset({"technical", "mailbox unavailable"})
_DAY_SECONDS: Final = 86_400
"""SendGrid repeats for a day what was not taken."""


def adapt(request: Incoming, envelope: Envelope) -> Taken:
    """Return the events of a request."""
    return take_mails("sendgrid", read_items(request.body), _read, envelope)


def _read(item: JsonObject) -> Mail | Rejection | str:
    kind = text(item, "event")
    if kind is None:
        return UNTYPED
    act = _ACTS.get(kind)
    if act is None:
        return kind
    message = text(item, "sg_message_id")
    machine = scalar(item, "sg_machine_open")
    category = text(item, "category")
    return Mail(
        act=act,
        email=text(item, "email"),
        at=instant(item, "timestamp"),
        ids=(
            text(item, "sg_event_id")
            or (message, text(item, "email"), text(item, "timestamp")),
        ),
        # What follows the first dot names the server, which may be another one.
        email_id=message.partition(".")[0] if message else text(item, "smtp-id"),
        campaign_id=text(item, "marketing_campaign_id") or text(item, "singlesend_id"),
        link_url=text(item, "url"),
        bounce_type=_bounce_type(item) if act == "bounced" else None,
        reason=text(item, "reason"),
        ip=text(item, "ip"),
        user_agent=text(item, "useragent"),
        machine=machine is True,
        properties={
            "sg_machine_open": machine,
            "bounce_classification": text(item, "bounce_classification"),
            "status": text(item, "status"),
            "categories": [category] if category else texts(item, "category") or None,
            "link_index": scalar(at(item, "url_offset"), "index"),
            "unsubscribe_group": scalar(item, "asm_group_id"),
        },
    )


def _bounce_type(item: JsonObject) -> BounceType:
    if text(item, "type") == "blocked":
        return "blocked"
    classified = (text(item, "bounce_classification") or "").lower()
    status = text(item, "status") or "5"
    return "soft" if classified in _SOFT or status.startswith("4") else "hard"


def adapt_inbound(request: Incoming, envelope: Envelope) -> Taken:
    """Return the reply that a parsed mail is, raw or in parts."""
    fields = dict(form_fields(request))
    mail = replied(
        headers_of_mime(fields["email"])
        if "email" in fields
        else fields.get("headers"),
        sender=fields.get("from"),
        subject=fields.get("subject"),
    )
    taken = Taken()
    verdict = mail_event("sendgrid", mail, envelope)
    taken.add(verdict, index=0, raw=request.body)
    return taken


SENDGRID: Final = Provider(
    name="sendgrid",
    adapt=adapt,
    guard=signed(signed_by_sendgrid, sendgrid_signed_at, window_seconds=_DAY_SECONDS),
)
SENDGRID_INBOUND: Final = Provider(
    name="sendgrid_inbound",
    adapt=adapt_inbound,
    guard=signed(signed_by_sendgrid, sendgrid_signed_at, window_seconds=_DAY_SECONDS),
)
