"""Postmark's webhooks, one event each, and its inbound mail. Known by the write key."""

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
    "Delivery": "delivered",
    "Open": "opened",
    "Click": "clicked",
    "Bounce": "bounced",
    "SpamComplaint": "complained",
    "SubscriptionChange": "unsubscribed",
}
_HARD: Final = frozenset({"HardBounce", "BadEmailAddress", "ManuallyDeactivated"})
_BLOCKED: Final = frozenset(
    {"Blocked", "DMARCPolicy", "SpamNotification", "VirusNotification"}
)
_NO_BOUNCE: Final = frozenset(
    {
        "AddressChange",
        "AutoResponder",
        "ChallengeVerification",
        "OpenRelayTest",
        "Subscribe",
        "Unsubscribe",
    }
)


def adapt(request: Incoming, envelope: Envelope) -> Taken:
    """Return the event of a request; mail that came in is a reply."""
    return take_mails("postmark", read_items(request.body), _read, envelope)


def _read(item: JsonObject) -> Mail | Rejection | str:
    kind = text(item, "RecordType")
    if kind is None:
        return _inbound(item) if "FromFull" in item else UNTYPED
    act = _ACTS.get(kind)
    bounce = text(item, "Type") or ""
    if act == "bounced" and bounce == "Unsubscribe":
        act = "unsubscribed"
    elif act == "bounced" and bounce in _NO_BOUNCE:
        return bounce
    if kind == "SubscriptionChange" and not _left(item):
        return kind
    if act is None:
        return kind
    message = text(item, "MessageID")
    recipient = first_text(item, "Recipient", "Email")
    when = first_text(item, "DeliveredAt", "ReceivedAt", "BouncedAt", "ChangedAt")
    return Mail(
        act=act,
        email=recipient,
        at=instant({"at": when}, "at"),
        ids=(text(item, "ID"), message, recipient, when, text(item, "OriginalLink")),
        email_id=message,
        campaign_id=text(item, "Tag"),
        link_url=text(item, "OriginalLink"),
        subject=text(item, "Subject"),
        bounce_type=_bounce_type(bounce) if act == "bounced" else None,
        reason=first_text(item, "Details", "Description", "SuppressionReason"),
        ip=text(item, "Geo", "IP"),
        user_agent=text(item, "UserAgent"),
        properties={
            "first_open": scalar(item, "FirstOpen"),
            "read_seconds": scalar(item, "ReadSeconds"),
            "platform": text(item, "Platform"),
            "client_name": text(item, "Client", "Name"),
            "country": text(item, "Geo", "CountryISOCode"),
            "bounce_class": bounce or None,
            "stream": text(item, "MessageStream"),
        },
    )


def _left(item: JsonObject) -> bool:
    """Say whether a person wished for no more mail: bounces tell of themselves."""
    return (
        scalar(item, "SuppressSending") is True
        and text(item, "SuppressionReason") == "ManualSuppression"
    )


def _bounce_type(bounce: str) -> BounceType:
    if bounce in _HARD:
        return "hard"
    return "blocked" if bounce in _BLOCKED else "soft"


def _inbound(item: JsonObject) -> Mail:
    return replied(
        [
            [at(one, "Name"), at(one, "Value")]
            for one in at(item, "Headers") or ()
            if isinstance(one, dict)
        ]
        if isinstance(at(item, "Headers"), list)
        else None,
        sender=text(item, "FromFull", "Email"),
        subject=text(item, "Subject"),
        message_id=text(item, "MessageID"),
    )


POSTMARK: Final = Provider(name="postmark", adapt=adapt)
