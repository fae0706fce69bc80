"""Mixpanel's ingestion API: `/track`, `/engage`, `/groups` and `/import`.

The write key is the project's token, in every event; an import may bring it as the
user of basic auth.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from streams.collector.adapters.fields import JsonObject, first_text, instant, text
from streams.collector.adapters.provider import (
    Envelope,
    Incoming,
    Outcome,
    Provider,
    Reply,
    Taken,
)
from streams.collector.adapters.tracking import (
    json_or_base64,
    json_reply,
    milliseconds,
    ndjson_or_json,
    objects_in,
    take_message,
)
from streams.collector.verdict import RefusedError

_DEVICE: Final = "$device:"
_SETS: Final = ("$set_once", "$set")


def _fields(incoming: Incoming) -> dict[str, str]:
    """Return the form fields of a request: of its body, else of its query."""
    body = incoming.body.strip()
    if body[:1] in {b"{", b"["}:
        return {}
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=50))
    except ValueError:
        return {}


def _read(incoming: Incoming) -> Any:
    body = incoming.body.strip()
    if body[:1] in {b"{", b"["}:
        return ndjson_or_json(body)
    data = _fields(incoming).get("data") or incoming.query.get("data")
    return json_or_base64(data.encode() if data else body)


def _adapt(incoming: Incoming, envelope: Envelope) -> Taken:
    taken = Taken()
    for index, one in objects_in(_read(incoming)):
        message = _message(one)
        if isinstance(message, str):
            taken.ignored.append(message)
        else:
            take_message(taken, message, envelope, raw=one, index=index)
    return taken


def _message(one: JsonObject) -> dict[str, Any] | str:
    """Return an event or an update of a profile as a Segment message."""
    if "event" not in one and any(key.startswith("$") for key in one):
        return _profile(one)
    held = one.get("properties")
    properties: JsonObject = held if isinstance(held, Mapping) else {}
    name = text(one, "event")
    user, device = _who(properties)
    told = {
        key: value
        for key, value in properties.items()
        if not key.startswith(("$", "mp_")) and key not in _OURS
    }
    message: dict[str, Any] = {
        "type": "track",
        "event": name,
        "messageId": text(properties, "$insert_id"),
        "userId": user,
        "anonymousId": device,
        "timestamp": milliseconds(instant(properties, "time"))
        or text(properties, "time"),
        "properties": told,
        "context": _context(properties),
    }
    match name:
        case "$identify":
            return {
                **message,
                "type": "identify",
                "userId": text(properties, "$identified_id") or user,
                "anonymousId": text(properties, "$anon_id") or device,
            }
        case "$create_alias":
            return {
                **message,
                "type": "alias",
                "userId": text(properties, "alias"),
                "previousId": text(properties, "distinct_id"),
            }
        case "$mp_web_page_view":
            title = first_text(properties, "current_page_title", "title")
            return {**message, "type": "page", "name": title}
        case str() if name.startswith("$"):
            return name
        case _:
            return message


_OURS: Final = frozenset({"token", "distinct_id", "time", "ip"})


def _who(properties: JsonObject) -> tuple[str | None, str | None]:
    person, device = text(properties, "distinct_id"), text(properties, "$device_id")
    user = text(properties, "$user_id")
    if user is None and person is not None:
        if person.startswith(_DEVICE):
            return None, device or person.removeprefix(_DEVICE)
        if person == device:
            return None, device
    return user or person, device


def _profile(one: JsonObject) -> dict[str, Any] | str:
    """Return an update of a person as an identify; a group's is nobody's."""
    if "$group_key" in one:
        return "$group"
    sets = [one[key] for key in _SETS if isinstance(one.get(key), Mapping)]
    if not sets:
        return next((key for key in one if key in _OPERATIONS), "$profile")
    traits: dict[str, Any] = {}
    for each in sets:
        traits |= {key.removeprefix("$"): value for key, value in each.items()}
    user, device = _who(
        {
            "distinct_id": one.get("$distinct_id"),
            "$user_id": one.get("$user_id"),
            "$device_id": one.get("$device_id"),
        }
    )
    return {
        "type": "identify",
        "userId": user,
        "anonymousId": device,
        "timestamp": milliseconds(instant(one, "$time")),
        "traits": traits,
        "context": {},
    }


_OPERATIONS: Final = frozenset(
    {"$add", "$append", "$union", "$remove", "$unset", "$delete"}
)


def _context(properties: JsonObject) -> dict[str, Any]:
    page = {
        "url": text(properties, "$current_url"),
        "referrer": text(properties, "$referrer"),
    }
    context = {
        "ip": text(properties, "ip"),
        "user_agent": text(properties, "$user_agent"),
    }
    told: dict[str, Any] = {key: one for key, one in context.items() if one is not None}
    page = {key: one for key, one in page.items() if one is not None}
    return {**told, "page": page} if page else told


def _tokens(incoming: Incoming) -> Sequence[str]:
    try:
        payload = _read(incoming)
    except RefusedError:
        return ()
    for _, one in objects_in(payload):
        found = text(one, "properties", "token") or text(one, "$token")
        if found is not None:
            return (found,)
    return ()


def _answer(incoming: Incoming, _: Outcome) -> Reply:
    """Return 1, or with `verbose` an object, as the clients expect it.

    What could not be taken is a dead letter: clients would raise, and not mend it.
    """
    if _is_verbose(incoming):
        return json_reply({"status": 1, "error": None})
    return Reply(body=b"1", content_type="text/plain; charset=utf-8")


def _is_verbose(incoming: Incoming) -> bool:
    return "1" in {_fields(incoming).get("verbose"), incoming.query.get("verbose")}


def _imported(incoming: Incoming, outcome: Outcome) -> Reply:
    if _is_verbose(incoming):  # as the Python client asks
        return _answer(incoming, outcome)
    if not outcome.refused:
        told = {"code": 200, "num_records_imported": outcome.accepted, "status": "OK"}
        return json_reply(told)
    failed = [
        {
            "index": one.index,
            "insert_id": one.rejection.message_id,
            "field": "",
            "message": one.rejection.detail,
        }
        for one in outcome.refused
    ]
    told = {
        "code": 400,
        "error": "some data points in the request failed validation",
        "failed_records": failed,
        "num_records_imported": outcome.accepted,
        "status": "Bad Request",
    }
    return json_reply(told, 400)


def _refusal(refused: RefusedError) -> Reply:
    return json_reply({"status": 0, "error": refused.detail}, refused.status)


MIXPANEL: Final = Provider(
    name="mixpanel",
    adapt=_adapt,
    paths=("/track", "/track/", "/engage", "/engage/", "/groups", "/groups/"),
    methods=("POST", "GET"),
    keys_in_body=_tokens,
    answer_to=_answer,
    refusal=_refusal,
)
MIXPANEL_IMPORT: Final = Provider(
    name="mixpanel-import",
    adapt=_adapt,
    paths=("/import", "/import/"),
    keys_in_body=_tokens,
    answer_to=_imported,
    refusal=_refusal,
)
