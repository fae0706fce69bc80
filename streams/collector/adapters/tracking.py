"""Trackers speak dialects of one language: each is told in Segment's, and read once.

What Segment's adapter decides (clock skew, spelling, what the page tells, where a
company's name stands) holds for all trackers alike.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from schemas.event import Event
from schemas.time import to_iso
from streams.collector.adapters import segment
from streams.collector.adapters.fields import JsonObject
from streams.collector.adapters.provider import Envelope, Reply, Taken
from streams.collector.body import unzip_if_gzip
from streams.collector.json_body import decoded
from streams.collector.verdict import RefusedError, Rejection

MOST_BYTES: Final = 2_000_000
PIXEL: Final = base64.b64decode(
    "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
)
"""A transparent GIF of one pixel."""
_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_decode: Final = msgspec.json.Decoder().decode


def take_message(
    taken: Taken,
    message: Mapping[str, Any],
    envelope: Envelope,
    *,
    raw: JsonObject,
    sent_at: object = None,
    index: int = 0,
) -> None:
    """Add the event of one Segment `message` to `taken`; `raw` is what was sent.

    A message without an id gets one of what was sent.
    """
    told = {name: value for name, value in message.items() if value is not None}
    outer = segment.Envelope(
        source=envelope.source,
        workspace=envelope.workspace,
        received_at=envelope.received_at,
        sent_at=segment.parse_time(sent_at),
    )
    sent = _encode(raw)
    if "messageId" not in told:
        told["messageId"] = segment.id_of(sent, outer)
    verdict: Event | Rejection = segment.adapt(_encode(told), outer)
    taken.add(verdict, index=index, raw=sent)


def milliseconds(instant: int | None) -> str | None:
    """Return an instant as Segment's messages say it."""
    return None if instant is None else to_iso(instant)


def json_or_base64(text: bytes) -> Any:
    """Return the JSON that `text` is, as it stands or in base64, gzipped or not.

    Raises
    ------
    RefusedError
        400 when it is none of them.
    """
    text = unzip_if_gzip(text.strip(), MOST_BYTES).strip()
    if text[:1] in {b"{", b"["} or not text:
        return decoded(_decode, text)
    try:
        plain = from_base64(text)
    except ValueError:
        msg = "neither JSON nor base64 of it"
        raise RefusedError(400, "invalid-json", msg) from None
    return decoded(_decode, unzip_if_gzip(plain, MOST_BYTES))


def from_base64(text: bytes) -> bytes:
    """Return what base64 `text` holds, of either alphabet, padded or not.

    >>> from_base64(b"PDw_Pz8-Pg"), from_base64(b"PDw/Pz8+Pg==")
    (b'<<???>>', b'<<???>>')

    Raises
    ------
    ValueError
        When it is no base64.
    """
    plain = text.translate(bytes.maketrans(b"-_ ", b"+/+")).rstrip(b"=")
    try:
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def ndjson_or_json(body: bytes) -> Any:
    """Return the JSON of `body`, or the list of what its lines hold.

    Raises
    ------
    RefusedError
        400 when it is neither.
    """
    lines = body.strip().split(b"\n")
    if len(lines) > 1 and all(line.strip()[:1] == b"{" for line in lines if line):
        try:
            return [_decode(line) for line in lines if line.strip()]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # one object over several lines
    return decoded(_decode, body)


def objects_in(value: object) -> Iterator[tuple[int, JsonObject]]:
    """Yield the objects of a list, or the one object, each with its place.

    What is no object comes as an empty one: nothing is found in it.
    """
    for index, one in enumerate(value if isinstance(value, list) else [value]):
        yield index, one if isinstance(one, dict) else {}


def in_words(name: str) -> str:
    """Return the name of an event in words, each with a capital letter.

    >>> in_words("link_click"), in_words("Signed Up"), in_words("addToCart")
    ('Link Click', 'Signed Up', 'Add To Cart')
    """
    if " " in name:
        return name
    words = segment.snake_case(name).split("_")
    return " ".join(word[:1].upper() + word[1:] for word in words if word)


def json_reply(body: object, status: int = 200) -> Reply:
    """Return an answer of JSON."""
    return Reply(status=status, body=_encode(body))
