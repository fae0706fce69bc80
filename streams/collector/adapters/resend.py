"""Resend's webhooks: one event each, signed as Standard Webhooks say."""

from typing import Final

from streams.collector.adapters.fields import (
    JsonObject,
    at,
    first_text,
    read_items,
    scalar,
    text,
    texts,
    when,
)
from streams.collector.adapters.inbound import replied
from streams.collector.adapters.mail import UNTYPED, Act, BounceType, Mail, take_mails
from streams.collector.adapters.provider import Envelope, Incoming, Provider, Taken
from streams.collector.adapters.signatures import (
    signed,
    signed_by_standard,
    standard_signed_at,
)
from streams.collector.verdict import Rejection

_ACTS: Final[dict[str, Act]] = {
    "email.delivered": "delivered",
    "email.opened": "opened",
    "email.clicked": "clicked",
    "email.bounced": "bounced",
    "email.complained": "complained",
}
_BOUNCES: Final[dict[str, BounceType]] = {
    "Permanent": "hard",
    "Transient": "soft",
    "Undetermined": "undetermined",
}
_WHOSE: Final = Rejection(
    "unroutable", "the mail had several recipients, and it is not said who did it"
)
_WINDOW_SECONDS: Final = 300
"""As the standard has it; each repeat is signed anew."""


def adapt(request: Incoming, envelope: Envelope) -> Taken:
    """Return the event of a request."""
    return take_mails("resend", read_items(request.body), _read, envelope)


def _read(item: JsonObject) -> Mail | Rejection | str | list[Mail]:
    kind = text(item, "type")
    if kind is None:
        return UNTYPED
    data = at(item, "data")
    if kind == "email.received":
        return replied(
            at(data, "headers"),
            sender=text(data, "from"),
            subject=text(data, "subject"),
            message_id=text(data, "message_id"),
            at=when(text(data, "created_at")),
        )
    if kind == "contact.updated" and scalar(data, "unsubscribed") is True:
        return _left(item)
    act = _ACTS.get(kind)
    if act is None:
        return kind
    recipients = texts(data, "to") or [text(data, "to") or ""]
    # Who of several opened or clicked is not said; to each it was delivered.
    if len(recipients) > 1 and act in {"opened", "clicked", "complained"}:
        return _WHOSE
    return [_mail(item, act, recipient) for recipient in recipients]


def _mail(item: JsonObject, act: Act, recipient: str) -> Mail:
    data = at(item, "data")
    what = at(data, "click") if act == "clicked" else at(data, "open")
    stamp = text(what, "timestamp") or text(item, "created_at")
    message = text(data, "email_id")
    return Mail(
        act=act,
        email=recipient,
        at=when(stamp),
        ids=(message, recipient, stamp, text(what, "link")),
        email_id=message,
        campaign_id=text(data, "broadcast_id"),
        link_url=text(what, "link"),
        subject=text(data, "subject"),
        bounce_type=_BOUNCES.get(text(data, "bounce", "type") or "", "hard")
        if act == "bounced"
        else None,
        reason=first_text(at(data, "bounce"), "message", "subType"),
        ip=text(what, "ipAddress"),
        user_agent=text(what, "userAgent"),
        properties={"template_id": text(data, "template_id")},
    )


def _left(item: JsonObject) -> Mail:
    data = at(item, "data")
    stamp = text(item, "created_at")
    return Mail(
        act="unsubscribed",
        email=text(data, "email"),
        at=when(stamp),
        ids=(text(data, "id"), text(data, "email"), stamp),
    )


RESEND: Final = Provider(
    name="resend",
    adapt=adapt,
    guard=signed(
        signed_by_standard, standard_signed_at, window_seconds=_WINDOW_SECONDS
    ),
)
