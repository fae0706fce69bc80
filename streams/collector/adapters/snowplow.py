"""Snowplow's tracker protocol: POST of payload_data, and the pixel `/i`.

The write key is the tracker's app id (`aid`), or stands in the query or basic auth.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from streams.collector.adapters.fields import JsonObject, at, first_text, instant, text
from streams.collector.adapters.provider import (
    Envelope,
    Incoming,
    Outcome,
    Provider,
    Reply,
    Taken,
)
from streams.collector.adapters.segment import snake_case
from streams.collector.adapters.tracking import (
    PIXEL,
    from_base64,
    in_words,
    milliseconds,
    objects_in,
    take_message,
)
from streams.collector.json_body import decoded

_decode: Final = msgspec.json.Decoder().decode
_SCHEMA: Final = re.compile(r"iglu:([^/]+)/([^/]+)/jsonschema/[0-9-]+")
_NAMES: Final = {
    "link_click": "Link Clicked",
    "submit_form": "Form Submitted",
    "site_search": "Search Performed",
    "file_download": "Content Downloaded",
    "add_to_cart": "Product Added",
    "remove_from_cart": "Product Removed",
}
_SILENT: Final = frozenset(
    {"page_ping", "web_vitals", "focus_form", "change_form", "client_session"}
)
"""Self-describing events that nobody did on purpose."""
_TRAITS: Final = frozenset({"user", "identify", "user_traits", "traits"})
"""Contexts that tell about the person."""


def _adapt_post(incoming: Incoming, envelope: Envelope) -> Taken:
    """Return the events of a POST: one for each object in `data`."""
    payload = decoded(_decode, incoming.body)
    return _take(at(payload, "data"), envelope)


def _adapt_pixel(incoming: Incoming, envelope: Envelope) -> Taken:
    """Return the event of a GET: the query is its fields."""
    if incoming.body:
        return _adapt_post(incoming, envelope)
    fields = {name: one for name, one in incoming.query.items() if name != "write_key"}
    return _take(fields, envelope)


def _take(data: object, envelope: Envelope) -> Taken:
    taken = Taken()
    for index, fields in objects_in(data):
        message = _message(fields)
        if isinstance(message, str):
            taken.ignored.append(message)
            continue
        sent = instant(fields, "stm") if text(fields, "ttm") is None else None
        take_message(
            taken,
            message,
            envelope,
            raw=fields,
            sent_at=milliseconds(sent),
            index=index,
        )
    return taken


def _message(fields: JsonObject) -> dict[str, Any] | str:
    """Return one event as a Segment message, or the name of what is passed over."""
    kind = text(fields, "e") or "?"
    contexts = _contexts(fields)
    session = contexts.get("client_session", {})
    traits: dict[str, Any] = {}
    for name in _TRAITS & contexts.keys():
        traits |= contexts[name]
    message: dict[str, Any] = {
        "messageId": text(fields, "eid"),
        "userId": text(fields, "uid"),
        "anonymousId": first_text(fields, "duid", "tnuid", "nuid")
        or text(session, "userId"),
        "timestamp": milliseconds(instant(fields, "ttm") or instant(fields, "dtm")),
        "context": _context(fields, contexts, traits),
    }
    match kind:
        case "pv":
            return {**message, "type": "page", "name": text(fields, "page")}
        case "se":
            return {**message, "type": "track", **_structured(fields)}
        case "ue":
            return _self_describing(message, fields)
        case "tr":
            order = {
                "order_id": text(fields, "tr_id"),
                "total": _number(fields, "tr_tt"),
                "currency": text(fields, "tr_cu"),
            }
            return {
                **message,
                "type": "track",
                "event": "Order Completed",
                "properties": _present(order),
            }
        case "pp" | "ti":  # a page still open; an item of an order
            return kind
        case _:
            return {**message, "type": kind}


def _self_describing(
    message: dict[str, Any], fields: JsonObject
) -> dict[str, Any] | str:
    described = _json(fields, plain="ue_pr", packed="ue_px")
    schema, data = text(described, "data", "schema"), at(described, "data", "data")
    found = _SCHEMA.fullmatch(schema or "")
    if found is None:
        return {**message, "type": "track"}  # without a name: a dead letter
    name = found[2]
    properties = dict(data) if isinstance(data, Mapping) else {}
    if name in _SILENT:
        return name
    if name in {"screen_view", "page_view"}:
        title = first_text(properties, "name", "title")
        return {**message, "type": "page", "name": title, "properties": properties}
    if name == "identify":
        return {**message, "type": "identify", "traits": properties}
    event = _NAMES.get(name) or in_words(name)
    return {**message, "type": "track", "event": event, "properties": properties}


def _structured(fields: JsonObject) -> dict[str, Any]:
    properties = {
        "category": text(fields, "se_ca"),
        "label": text(fields, "se_la"),
        "property": text(fields, "se_pr"),
        "value": _number(fields, "se_va"),
    }
    return {"event": text(fields, "se_ac"), "properties": _present(properties)}


def _context(
    fields: JsonObject, contexts: Mapping[str, JsonObject], traits: JsonObject
) -> dict[str, Any]:
    page = _present(
        {
            "url": text(fields, "url"),
            "title": text(fields, "page"),
            "referrer": text(fields, "refr"),
        }
    )
    context = {
        "user_agent": text(fields, "ua"),
        "locale": text(fields, "lang"),
        "timezone": text(fields, "tz"),
        "session_id": text(fields, "sid"),
        "app_id": text(fields, "aid"),
        "ip": text(fields, "ip"),
    }
    described = {name: one for name, one in contexts.items() if name not in _TRAITS}
    return {
        **_present(context),
        **described,
        **({"page": page} if page else {}),
        **({"traits": dict(traits)} if traits else {}),
    }


def _contexts(fields: JsonObject) -> dict[str, JsonObject]:
    """Return the contexts by the names of their schemas; of several the first."""
    found: dict[str, JsonObject] = {}
    for _, one in objects_in(at(_json(fields, plain="co", packed="cx"), "data") or []):
        schema, data = _SCHEMA.fullmatch(text(one, "schema") or ""), one.get("data")
        if schema is not None and isinstance(data, dict):
            found.setdefault(snake_case(schema[2]), data)
    return found


def _json(fields: JsonObject, *, plain: str, packed: str) -> Any:
    """Return the JSON in a field, or in its sister in base64; None if there is none."""
    told, coded = text_whole(fields, plain), text_whole(fields, packed)
    try:
        if told is not None:
            return _decode(told.encode())
        return None if coded is None else _decode(from_base64(coded.encode()))
    except (ValueError, RecursionError):  # msgspec's errors and base64's, too
        return None


def text_whole(fields: JsonObject, name: str) -> str | None:
    """Return the text of a field at its full length, None for anything else."""
    value = fields.get(name)
    return value if isinstance(value, str) and value else None


def _number(fields: JsonObject, name: str) -> float | None:
    try:
        return float(text(fields, name) or "")
    except ValueError:
        return None


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _app_id(incoming: Incoming) -> Sequence[str]:
    """Return the app ids of a POST, each once."""
    try:
        payload = _decode(incoming.body)
    except (ValueError, RecursionError):
        return ()
    found = (text(one, "aid") for _, one in objects_in(at(payload, "data")))
    return tuple(dict.fromkeys(one for one in found if one))[:1]


def _app_id_in_query(incoming: Incoming) -> Sequence[str]:
    key = incoming.query.get("write_key") or incoming.query.get("aid")
    return (key,) if key else ()


def _ok(_: Outcome) -> Reply:
    return Reply(body=b"ok", content_type="text/plain; charset=utf-8")


def _gif(_: Outcome) -> Reply:
    headers = {"Cache-Control": "no-cache, no-store, must-revalidate"}
    return Reply(body=PIXEL, content_type="image/gif", headers=headers)


SNOWPLOW: Final = Provider(
    name="snowplow",
    adapt=_adapt_post,
    paths=(
        "/com.snowplowanalytics.snowplow/tp2",
        "/com.snowplowanalytics.snowplow/tp2/",
    ),
    keys_in_body=_app_id,
    answer=_ok,
)
SNOWPLOW_PIXEL: Final = Provider(
    name="snowplow-pixel",
    adapt=_adapt_pixel,
    paths=("/i",),
    methods=("GET",),
    keys=_app_id_in_query,
    answer=_gif,
)
