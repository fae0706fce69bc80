"""Reading vendors' JSON: what is there in the right shape, and None for the rest."""

import math
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from schemas.time import Instant, to_instant
from streams.collector.adapters.segment import parse_time
from streams.collector.json_body import decoded

JsonObject = Mapping[str, Any]

_LONGEST_TEXT: Final = 8_192
_EARLIEST_MILLISECONDS: Final = 100_000_000_000
"""A number as large counts milliseconds: in seconds it would be the year 5138."""
_LATEST_MILLISECONDS: Final = 253_402_300_799_999
"""The end of the year 9999, the last that a datetime can say."""

_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_any: Final = msgspec.json.Decoder().decode
_decode_object: Final = msgspec.json.Decoder(dict[str, Any]).decode


def read_object(body: bytes) -> JsonObject:
    """Return the JSON object that `body` is.

    Raises
    ------
    RefusedError
        400 when it is not JSON, or not an object.
    """
    return decoded(_decode_object, body)


def read_items(body: bytes) -> list[tuple[bytes, JsonObject]]:
    """Return the objects of a JSON list, or the one object, each with its bytes.

    An item that is no object comes as an empty one: its adapter finds nothing in it.

    Raises
    ------
    RefusedError
        400 when it is not JSON, or neither list nor object.
    """
    body = body.strip()
    if not body.startswith(b"["):
        return [(body, read_object(body))]
    items: list[tuple[bytes, JsonObject]] = []
    for raw in decoded(_decode_list, body):
        item = decoded(_decode_any, bytes(raw))
        items.append((bytes(raw), item if isinstance(item, dict) else {}))
    return items


def at(holder: object, *path: str) -> Any:
    """Return what stands at `path` in nested objects, None if it leads nowhere.

    >>> at({"a": {"b": 1}}, "a", "b"), at({"a": 1}, "a", "b")
    (1, None)
    """
    for name in path:
        if not isinstance(holder, Mapping):
            return None
        holder = holder.get(name)
    return holder


def text(holder: object, *path: str) -> str | None:
    """Return the text or number at `path` as text, None for anything else or "".

    >>> text({"id": 17}, "id"), text({"id": ""}, "id"), text({"id": []}, "id")
    ('17', None, None)
    """
    value = at(holder, *path)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value)[:_LONGEST_TEXT] or None


def first_text(holder: object, *names: str) -> str | None:
    """Return the first of several fields that holds a text or a number.

    >>> first_text({"b": "x"}, "a", "b")
    'x'
    """
    for name in names:
        if (found := text(holder, name)) is not None:
            return found
    return None


def scalar(holder: object, *path: str) -> str | int | float | bool | None:
    """Return the text, number or flag at `path` as it is, None for anything else."""
    value = at(holder, *path)
    if isinstance(value, str):
        return value[:_LONGEST_TEXT] or None
    return value if isinstance(value, bool | int | float) else None


def objects(holder: object, *path: str) -> list[JsonObject]:
    """Return the objects in the list at `path`; what else is in it is left out."""
    value = at(holder, *path)
    if not isinstance(value, list):
        return []
    return [one for one in value if isinstance(one, Mapping)]


def texts(holder: object, *path: str) -> list[str]:
    """Return the texts in the list at `path`; what else is in it is left out."""
    value = at(holder, *path)
    if not isinstance(value, list):
        return []
    return [one for one in value if isinstance(one, str) and one]


def instant(holder: object, *path: str) -> Instant | None:
    """Return the instant at `path`: Unix time in s or ms, or ISO 8601; else None.

    >>> instant({"ts": 1461095250}, "ts"), instant({"ts": "1461095250.5"}, "ts")
    (1461095250000, 1461095250500)
    >>> instant({"ts": 1461095250123}, "ts"), instant({"ts": "soon"}, "ts")
    (1461095250123, None)
    """
    return when(at(holder, *path))


def when(value: object) -> Instant | None:
    """Return the instant that `value` is: Unix time in s or ms, or ISO 8601."""
    if isinstance(value, str):
        if (moment := parse_time(value)) is not None:
            return moment
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or value < 0:
        return None
    milliseconds = value if value >= _EARLIEST_MILLISECONDS else value * 1000
    return int(milliseconds) if milliseconds <= _LATEST_MILLISECONDS else None


def rfc_2822(value: str | None) -> Instant | None:
    """Return the instant of an e-mail's `Date`, None if it cannot be read."""
    try:
        moment: datetime = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return None
    return to_instant(moment) if moment.tzinfo is not None else None


def parse_json(value: object) -> object:
    """Return what a text says as JSON, None if it is no text or not JSON.

    >>> parse_json('{"id": 1}'), parse_json("{"), parse_json(4567)
    ({'id': 1}, None, None)
    """
    if not isinstance(value, str):
        return None
    try:
        return _decode_any(value)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
