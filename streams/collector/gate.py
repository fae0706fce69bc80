"""The gate: a request's body in, canonical events and verdicts out. Pure."""

from typing import Any, Final

import msgspec

from schemas.event import Event
from schemas.time import Instant
from schemas.workspace import split_source
from streams.collector.adapters.segment import Call, Envelope, adapt, parse_time
from streams.collector.json_body import decoded, mend
from streams.collector.verdict import Refused, Rejection


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
    opened = decoded(_decode_batch, body)
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
    opened = decoded(_decode_keyed, body)
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


def _key_of(message: bytes) -> object:
    try:
        key = _decode_keyed(mend(message)).write_key
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return key if isinstance(key, str) else None
