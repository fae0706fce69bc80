"""Mail that people write to us, as providers hand it on: an answer of theirs."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from schemas.time import Instant
from streams.collector.adapters.fields import rfc_2822
from streams.collector.adapters.mail import Mail, address, bare_id

_AUTOMATIC: Final = ("auto-replied", "auto-generated", "auto-notified")
_ROBOTS: Final = frozenset({"bulk", "list", "junk", "auto_reply"})


def replied(
    headers: object,
    *,
    sender: str | None,
    subject: str | None = None,
    message_id: str | None = None,
    at: Instant | None = None,
) -> Mail:
    """Return the mail somebody sent: an object, list of pairs or text of `headers`.

    Answers of machines (out of office, delivery reports) are flagged as such, by
    `Auto-Submitted` (RFC 3834) and what came before it.
    """
    known = headers_by_name(headers)
    message = bare_id(message_id or known.get("message-id"))
    sent = known.get("date")
    written = address(known.get("from")) or address(sender)
    return Mail(
        act="replied",
        email=written,
        at=at or rfc_2822(sent),
        ids=(message, written, sent or at, subject),
        email_id=bare_id(known.get("in-reply-to")),
        subject=subject or known.get("subject"),
        machine=_is_automatic(known),
        properties={"message_id": message},
    )


def _is_automatic(headers: Mapping[str, str]) -> bool:
    return (
        headers.get("auto-submitted", "no").lower().startswith(_AUTOMATIC)
        or headers.get("precedence", "").lower() in _ROBOTS
        or "x-autoreply" in headers
        or "x-autorespond" in headers
    )


def headers_by_name(headers: object) -> dict[str, str]:
    r"""Return headers by their names in lower case, however they are written.

    >>> headers_by_name([["Date", "now"], {"name": "To", "value": "x"}])
    {'date': 'now', 'to': 'x'}
    >>> headers_by_name("Subject: a\n b\nX: y"), headers_by_name({"Date": ["now"]})
    ({'subject': 'a b', 'x': 'y'}, {'date': 'now'})
    """
    return {
        name.lower(): value
        for name, value in _pairs(headers)
        if isinstance(name, str) and isinstance(value, str)
    }


def _pairs(headers: object) -> Iterable[tuple[Any, Any]]:
    match headers:
        case str():
            return _parsed(headers)
        case Mapping():
            return [
                (name, value[0] if isinstance(value, list) and value else value)
                for name, value in headers.items()
            ]
        case list():
            return [pair for one in headers for pair in _of_list(one)]
        case _:
            return ()


def _parsed(headers: str) -> Iterable[tuple[str, str]]:
    unfolded = headers.replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ")
    for line in unfolded.split("\n"):
        name, separator, value = line.partition(":")
        if separator:
            yield name.strip(), value.strip()


def _of_list(one: object) -> Iterable[tuple[Any, Any]]:
    match one:
        case [name, value] | {"name": name, "value": value}:
            return [(name, value)]
        case Mapping():
            return one.items()
        case _:
            return ()


def headers_of_mime(mime: str) -> str:
    """Return the head of a raw mail, as text."""
    return mime.replace("\r\n", "\n").partition("\n\n")[0]
