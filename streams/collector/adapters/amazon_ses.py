"""Amazon SES through SNS: notifications, event publishing, received mail."""

from typing import Final

from streams.collector.adapters.fields import (
    JsonObject,
    at,
    first_text,
    objects,
    parse_json,
    read_object,
    scalar,
    text,
    texts,
    when,
)
from streams.collector.adapters.inbound import headers_by_name, replied
from streams.collector.adapters.mail import (
    UNTYPED,
    Act,
    BounceType,
    Mail,
    take_mails,
)
from streams.collector.adapters.provider import Envelope, Incoming, Provider, Taken
from streams.collector.adapters.sns import guard
from streams.collector.verdict import Rejection

_ACTS: Final[dict[str, Act]] = {
    "Delivery": "delivered",
    "Open": "opened",
    "Click": "clicked",
    "Bounce": "bounced",
    "Complaint": "complained",
    "Subscription": "unsubscribed",
}
_BOUNCES: Final[dict[str, BounceType]] = {
    "Permanent": "hard",
    "Transient": "soft",
    "Undetermined": "undetermined",
}
_WHOSE: Final = Rejection(
    "unroutable", "the mail had several recipients, and SES does not say who did it"
)


def adapt(request: Incoming, envelope: Envelope) -> Taken:
    """Return the events of a notification, one for each recipient it is about."""
    outer = read_object(request.body)
    inner = parse_json(outer.get("Message"))
    message = inner if isinstance(inner, dict) else {}
    if not message:
        # SNS and SES say in words that something was set up.
        return Taken(ignored=["text"])
    return take_mails("amazon_ses", [(request.body, message)], _read, envelope)


def _read(message: JsonObject) -> Mail | Rejection | str | list[Mail]:
    kind = first_text(message, "eventType", "notificationType")
    if kind is None:
        return UNTYPED
    if kind == "Received":
        return _received(message)
    act = _ACTS.get(kind)
    what = at(message, kind.lower())
    if act is None or (act == "unsubscribed" and not _left(what)):
        return kind
    recipients = _recipients(act, message, what)
    if not recipients:
        return _WHOSE
    return [_mail(act, message, what, person, more) for person, more in recipients]


def _recipients(
    act: Act, message: JsonObject, what: object
) -> list[tuple[str, JsonObject]]:
    """Return whom it is about, and what is said of each."""
    if act == "bounced":
        told = objects(what, "bouncedRecipients")
    elif act == "complained":
        told = objects(what, "complainedRecipients")
    elif act == "delivered":
        return [(person, {}) for person in texts(what, "recipients")]
    else:
        sent_to = texts(message, "mail", "destination")
        return [(sent_to[0], {})] if len(sent_to) == 1 else []
    return [(text(one, "emailAddress") or "", one) for one in told]


def _mail(
    act: Act, message: JsonObject, what: object, person: str, more: JsonObject
) -> Mail:
    mail_id = text(message, "mail", "messageId")
    stamp = text(what, "timestamp") or text(message, "mail", "timestamp")
    tags = at(message, "mail", "tags")
    headers = headers_by_name(at(message, "mail", "headers"))
    return Mail(
        act=act,
        email=person,
        at=when(stamp),
        ids=(text(what, "feedbackId"), mail_id, person, stamp, text(what, "link")),
        email_id=mail_id,
        campaign_id=_tag(tags, "campaign_id") or _tag(tags, "campaign"),
        link_url=text(what, "link"),
        subject=text(message, "mail", "commonHeaders", "subject")
        or headers.get("subject"),
        bounce_type=_BOUNCES.get(text(what, "bounceType") or "", "undetermined")
        if act == "bounced"
        else None,
        reason=text(more, "diagnosticCode")
        or first_text(what, "complaintFeedbackType", "bounceSubType"),
        ip=text(what, "ipAddress"),
        user_agent=text(what, "userAgent"),
        properties={
            "bounce_class": text(what, "bounceSubType"),
            "status": text(more, "status"),
            "configuration_set": _tag(tags, "ses:configuration-set"),
            "processing_milliseconds": scalar(what, "processingTimeMillis"),
        },
    )


def _tag(tags: object, name: str) -> str | None:
    return next(iter(texts(tags, name)), None)


def _left(subscription: object) -> bool:
    preferences = at(subscription, "newTopicPreferences")
    if scalar(preferences, "unsubscribeAll") is True:
        return True
    topics = objects(preferences, "topicSubscriptionStatus")
    return bool(topics) and all(
        text(topic, "subscriptionStatus") == "OptOut" for topic in topics
    )


def _received(message: JsonObject) -> Mail:
    senders = texts(message, "mail", "commonHeaders", "from")
    return replied(
        at(message, "mail", "headers"),
        sender=next(iter(senders), None) or text(message, "mail", "source"),
        subject=text(message, "mail", "commonHeaders", "subject"),
        message_id=text(message, "mail", "messageId"),
        at=when(text(message, "mail", "timestamp")),
    )


AMAZON_SES: Final = Provider(name="amazon_ses", adapt=adapt, guard=guard)
