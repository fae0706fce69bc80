"""What all e-mail providers tell, in whichever words: one mail, one act, one person."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from email.utils import parseaddr
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from schemas.event import Event
from schemas.time import Instant
from streams.collector.adapters.fields import JsonObject
from streams.collector.adapters.provider import Envelope, Taken, derive_event_id
from streams.collector.verdict import Rejection

Act = Literal[
    "delivered", "opened", "clicked", "bounced", "complained", "unsubscribed", "replied"
]
NAMES: Final[Mapping[Act, str]] = {
    "delivered": "Email Delivered",
    "opened": "Email Opened",
    "clicked": "Email Link Clicked",
    "bounced": "Email Bounced",
    "complained": "Email Marked as Spam",
    "unsubscribed": "Unsubscribed",
    "replied": "Email Replied",
}
_THEIR_OWN: Final = frozenset({"opened", "clicked", "unsubscribed"})
BounceType = Literal["hard", "soft", "blocked", "undetermined"]

_DOWNLOADS: Final = (
    ".csv .doc .docx .dmg .epub .exe .key .m4a .mobi .mov .mp3 .mp4 .odp .ods .odt "
    ".pages .pdf .pps .ppt .pptx .rtf .tar .tgz .wav .webm .xls .xlsx .zip"
)
DOWNLOADS: Final = tuple(_DOWNLOADS.split())
"""A link to such a file is a download: its click is an `Offer Downloaded`."""

_encode: Final = msgspec.json.Encoder().encode

UNTYPED: Final = Rejection("invalid-event", "does not say what happened")


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to one mail and its one recipient."""

    act: Act
    email: str | None
    at: Instant | None
    ids: tuple[object, ...]
    """What tells this event from all others of the provider, the same on a repeat."""
    email_id: str | None = None
    campaign_id: str | None = None
    user_id: str | None = None
    """Of a mail of one's own, whose sender knows who it is for."""
    link_url: str | None = None
    subject: str | None = None
    bounce_type: BounceType | None = None
    reason: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    machine: bool = False
    """Whether the provider says that no person did it."""
    properties: Mapping[str, Any] = {}
    """What else the provider says, its machine flags above all."""


Read = Callable[[JsonObject], "Mail | Rejection | str | Sequence[Mail]"]
"""Reads one item: mails, the reason there are none, or the type that is passed over."""


def encoded(items: Iterable[JsonObject]) -> Iterable[tuple[bytes, JsonObject]]:
    """Return items out of the middle of a body, each with bytes of its own."""
    return ((_encode(item), item) for item in items)


def take_mails(
    provider: str,
    items: Iterable[tuple[bytes, JsonObject]],
    read: Read,
    envelope: Envelope,
) -> Taken:
    """Return what the items of a request are, as canonical events."""
    taken = Taken()
    for index, (raw, item) in enumerate(items):
        found = read(item)
        match found:
            case str():
                taken.ignored.append(found)
            case Mail():
                taken.add(mail_event(provider, found, envelope), index=index, raw=raw)
            case Rejection():
                taken.add(found, index=index, raw=raw)
            case _:
                for mail in found:
                    event = mail_event(provider, mail, envelope)
                    taken.add(event, index=index, raw=raw)
    return taken


def mail_event(provider: str, mail: Mail, envelope: Envelope) -> Event | Rejection:
    """Return the canonical event of what happened to a mail."""
    name = NAMES[mail.act]
    if mail.act == "clicked" and is_download(mail.link_url):
        name = "Offer Downloaded"
    return envelope.event(
        id=derive_event_id(provider, mail.act, *mail.ids),
        name=name,
        channel="email",
        occurred_at=mail.at,
        email=address(mail.email),
        user_id=mail.user_id,
        properties={
            **mail.properties,
            "email_id": mail.email_id,
            "campaign_id": mail.campaign_id,
            "link_url": mail.link_url,
            "subject": mail.subject,
            "bounce_type": mail.bounce_type,
            "reason": mail.reason,
            "machine": True if mail.machine else None,
        },
        context={
            "provider": provider,
            # Of what the person did; else it is the address of a mail server.
            "ip": mail.ip if mail.act in _THEIR_OWN else None,
            "user_agent": mail.user_agent,
        },
    )


def is_download(link: str | None) -> bool:
    """Say whether a link is to a file that one downloads.

    >>> is_download("https://example.com/guide.PDF?x=1"), is_download("https://a.example/")
    (True, False)
    """
    if link is None:
        return False
    try:
        return urlsplit(link).path.lower().endswith(DOWNLOADS)
    except ValueError:  # not a URL
        return False


def address(given: str | None) -> str | None:
    """Return the bare address of ``Ada <ada@example.com>`` or ``ada@example.com``.

    >>> address('"Ada L." <ada@example.com>'), address("ada@example.com"), address("x")
    ('ada@example.com', 'ada@example.com', None)
    """
    if given is None or "@" not in given:
        return None
    if "<" not in given:
        return given.strip()
    _, found = parseaddr(given)
    return found if "@" in found else None


def bare_id(message_id: str | None) -> str | None:
    """Return a message id without its angle brackets.

    >>> bare_id("<20160421@example.com>")
    '20160421@example.com'
    """
    return None if message_id is None else message_id.strip().strip("<>") or None
