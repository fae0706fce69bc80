"""The gate: a request's body in, canonical events and verdicts out. Pure."""

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from schemas.event import Event
from schemas.time import Instant
from schemas.workspace import split_source
from streams.collector.adapters.segment import Call, Envelope, adapt, parse_time
from streams.collector.verdict import RefusedError, Rejection

T = TypeVar("T")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much is taken at once."""

    event_bytes: int
    batch_events: int


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """An opened request: its messages as they came, and what it says of them all."""

    messages: list[bytes]
    write_key: object
    """The key in the body: of the whole, or the one all messages agree on."""
    sent_at: object = None
    context: dict[str, Any] = {}


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """One message that was not taken: where it stood, why, and its bytes."""

    index: int
    rejection: Rejection
    raw: bytes


class Sorted(msgspec.Struct, frozen=True, kw_only=True):
    """A request's messages, good and bad, each in the order they came."""

    events: list[Event]
    refused: list[Refused]


class _Batch(msgspec.Struct, rename="camel"):
    batch: list[msgspec.Raw]
    write_key: Any = None
    sent_at: Any = None
    context: Any = None


class _Keyed(msgspec.Struct, rename="camel"):
    write_key: Any = None


_decode_batch: Final = msgspec.json.Decoder(_Batch).decode
_decode_keyed: Final = msgspec.json.Decoder(_Keyed).decode


def open_batch(body: bytes) -> Parcel:
    """Return the messages of a batch; one bad message does not spoil the others.

    Raises
    ------
    RefusedError
        400 when the body is not JSON, or not a batch.
    """
    opened = _decoded(_decode_batch, body)
    messages = [bytes(raw) for raw in opened.batch]
    write_key = opened.write_key
    if write_key is None and messages:
        keys = {_key_of(message) for message in messages}
        write_key = keys.pop() if len(keys) == 1 else None
    context = opened.context if isinstance(opened.context, dict) else {}
    return Parcel(
        messages=messages,
        write_key=write_key,
        sent_at=opened.sent_at,
        context=context,
    )


def open_single(body: bytes) -> Parcel:
    """Return the one message that the body is.

    Raises
    ------
    RefusedError
        400 when the body is not a JSON object.
    """
    body = body.strip()
    opened = _decoded(_decode_keyed, body)
    return Parcel(messages=[body], write_key=opened.write_key)


def sort(
    parcel: Parcel,
    *,
    call: Call | None,
    source: str,
    limits: Limits,
    now: Instant,
) -> Sorted:
    """Return every message of the parcel as an event or with the reason it is none.

    `source` is the name of the write key: the workspace, if it says one, and the
    source.
    """
    workspace, name = split_source(source)
    envelope = Envelope(
        source=name,
        workspace=workspace,
        received_at=now,
        call=call,
        sent_at=parse_time(parcel.sent_at),
        context=parcel.context,
    )
    events: list[Event] = []
    refused: list[Refused] = []
    for index, raw in enumerate(parcel.messages):
        verdict = _too_much(index, raw, limits) or adapt(mend(raw), envelope)
        if isinstance(verdict, Event):
            events.append(verdict)
        else:
            refused.append(Refused(index=index, rejection=verdict, raw=raw))
    return Sorted(events=events, refused=refused)


def _too_much(index: int, raw: bytes, limits: Limits) -> Rejection | None:
    if index >= limits.batch_events:
        detail = f"a batch holds at most {limits.batch_events} events"
        return Rejection("too-large", detail)
    if len(raw) > limits.event_bytes:
        detail = f"{len(raw)} bytes; an event has at most {limits.event_bytes}"
        return Rejection("too-large", detail)
    return None


_ESCAPED_SURROGATE: Final = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_REPLACEMENT: Final = rb"\ufffd"


def mend(raw: bytes) -> bytes:
    r"""Return `raw` with half a surrogate pair replaced by U+FFFD.

    A browser that cuts a text in the middle of an emoji escapes half of it, which
    is not Unicode; one such title must not cost a batch. The length stays the same.

    >>> mend(rb'{"cut": "\ud83d", "whole": "\ud83d\ude00"}').decode()
    '{"cut": "\\ufffd", "whole": "\\ud83d\\ude00"}'
    """
    if b"\\ud" not in raw and b"\\uD" not in raw:
        return raw
    return _ESCAPED_SURROGATE.sub(lambda match: match[1] or _REPLACEMENT, raw)


def _key_of(message: bytes) -> object:
    try:
        key = _decode_keyed(mend(message)).write_key
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return key if isinstance(key, str) else None


_POSITION: Final = re.compile(r" \(byte (\d+)\)$")


def _decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise RefusedError(400, "invalid-event", str(error)) from None
    except RecursionError:
        raise RefusedError(400, "invalid-json", "nested too deeply") from None
    except UnicodeDecodeError as error:
        raise RefusedError(400, "invalid-json", f"not UTF-8: {error.reason}") from None
    except msgspec.DecodeError as error:
        if (mended := mend(body)) != body:
            return _decoded(decode, mended)
        said = str(error)
        found = _POSITION.search(said)
        position = int(found[1]) if found else len(body)
        detail = said if found else f"{said} (byte {position})"
        raise RefusedError(400, "invalid-json", detail, position=position) from None
