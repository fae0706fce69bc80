"""A webhook's body as plain data: JSON, or the fields of a form."""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from streams.collector.json_body import mend
from streams.collector.verdict import RefusedError

_MOST_FIELDS: Final = 1_000
_decode: Final = msgspec.json.Decoder().decode


def read_payload(body: bytes) -> Any:
    """Return what `body` holds; a form is an object of texts, lists for repeats.

    A field of a form that holds a JSON object or list is read as that. The content
    type is not looked at: many senders give the wrong one.

    Raises
    ------
    RefusedError
        400 when it is neither JSON nor a form.
    """
    text = mend(body.strip())
    if text[:1] not in b"{[" and b"=" in text:
        return _form(text)
    try:
        return _decode(text)
    except RecursionError:
        raise RefusedError(400, "invalid-json", "nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError(400, "invalid-json", str(error)) from None


def _form(text: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(
            text.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError as error:
        raise RefusedError(400, "invalid-form", str(error)) from None
    return fields_of_form(pairs)


def fields_of_form(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the fields of a form by name, a list for one that is there repeatedly."""
    fields: dict[str, Any] = {}
    for name, text_value in pairs:
        value = _json_in(text_value)
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    return fields


def _json_in(value: str) -> Any:
    if value.lstrip()[:1] not in {"{", "["}:
        return value
    try:
        return _decode(value.encode(errors="replace"))
    except (msgspec.DecodeError, RecursionError):
        return value
