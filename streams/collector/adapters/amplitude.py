"""Amplitude's HTTP V2 API: `/2/httpapi` and `/batch`.

PostHog's clients may call `/batch` as well; the body tells whose it is. The write key
is the project's API key, in the body as `api_key`.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from streams.collector.adapters import posthog
from streams.collector.adapters.fields import JsonObject, at, instant, text
from streams.collector.adapters.provider import (
    Envelope,
    Incoming,
    Outcome,
    Provider,
    Reply,
    Taken,
)
from streams.collector.adapters.tracking import (
    json_reply,
    milliseconds,
    objects_in,
    take_message,
)
from streams.collector.json_body import decoded
from streams.collector.verdict import RefusedError

_decode: Final = msgspec.json.Decoder().decode
_OWN: Final = "[Amplitude] "
_NAMES: Final = {
    "[Amplitude] Form Submitted": "Form Submitted",
    "[Amplitude] File Downloaded": "Content Downloaded",
}
_SILENT: Final = frozenset({"session_start", "session_end", "$groupidentify"})
_SETS: Final = ("$setOnce", "$set")
_UNAUTHORISED: Final = 401


def _adapt(incoming: Incoming, envelope: Envelope) -> Taken:
    payload = decoded(_decode, incoming.body)
    events = at(payload, "events")
    if events is None:
        msg = "there is no `events`"
        raise RefusedError(400, "invalid-event", msg)
    taken = Taken()
    for index, event in objects_in(events):
        message = _message(event)
        if isinstance(message, str):
            taken.ignored.append(message)
        else:
            take_message(taken, message, envelope, raw=event, index=index)
    return taken


def _adapt_batch(incoming: Incoming, envelope: Envelope) -> Taken:
    payload = posthog.read(incoming)
    if at(payload, "events") is not None:
        return _adapt(incoming, envelope)
    return posthog.take_payload(payload, envelope)


def _message(event: JsonObject) -> dict[str, Any] | str:
    """Return one event as a Segment message, or the name of what is passed over."""
    name = text(event, "event_type") or ""
    if name in _SILENT:
        return name
    held = event.get("event_properties")
    properties: dict[str, Any] = dict(held) if isinstance(held, Mapping) else {}
    company = text(event, "groups", "company")
    message: dict[str, Any] = {
        "type": "track",
        "event": _NAMES.get(name) or name.removeprefix(_OWN),
        "messageId": text(event, "insert_id"),
        "userId": text(event, "user_id"),
        "anonymousId": text(event, "device_id"),
        "timestamp": milliseconds(instant(event, "time")),
        "properties": {
            key: value for key, value in properties.items() if not key.startswith(_OWN)
        },
        "context": _context(event, properties),
    }
    if company is not None:
        message["context"]["group_id"] = company
    traits = _traits(event)
    if name == "$identify":
        return {**message, "type": "identify", "traits": traits}
    if traits:
        message["context"]["traits"] = traits
    if name == "[Amplitude] Page Viewed":
        title = text(properties, "[Amplitude] Page Title")
        return {**message, "type": "page", "name": title}
    return message


def _traits(event: JsonObject) -> dict[str, Any]:
    """Return what is told of the person; operations other than setting are not."""
    told = event.get("user_properties")
    if not isinstance(told, Mapping):
        return {}
    traits = {key: value for key, value in told.items() if not key.startswith("$")}
    for operation in _SETS:
        values = told.get(operation)
        if isinstance(values, Mapping):
            traits |= values
    return traits


def _context(event: JsonObject, properties: JsonObject) -> dict[str, Any]:
    page = {
        "url": text(properties, "[Amplitude] Page URL"),
        "path": text(properties, "[Amplitude] Page Path"),
        "title": text(properties, "[Amplitude] Page Title"),
        "referrer": text(properties, "referrer"),
    }
    context: dict[str, Any] = {
        "ip": text(event, "ip"),
        "locale": text(event, "language"),
        "session_id": text(event, "session_id"),
        "library": text(event, "library"),
    }
    told = {key: one for key, one in context.items() if one is not None}
    page = {key: one for key, one in page.items() if one is not None}
    return {**told, "page": page} if page else told


def _answer(incoming: Incoming, outcome: Outcome) -> Reply:
    return json_reply(
        {
            "code": 200,
            "events_ingested": outcome.accepted
            + outcome.ignored
            + len(outcome.refused),  # kept as dead letters
            "payload_size_bytes": len(incoming.body),
            "status": 1,  # what PostHog's clients look for
        }
    )


def _refusal(refused: RefusedError) -> Reply:
    # Amplitude knows no 401: a wrong key is an invalid request.
    status = 400 if refused.status == _UNAUTHORISED else refused.status
    error = "Invalid API key" if refused.status == _UNAUTHORISED else refused.detail
    return json_reply({"code": status, "error": error}, status)


AMPLITUDE: Final = Provider(
    name="amplitude",
    adapt=_adapt,
    paths=("/2/httpapi", "/2/httpapi/"),
    keys_in_body=posthog.api_keys,
    answer_to=_answer,
    refusal=_refusal,
)
AMPLITUDE_BATCH: Final = Provider(
    name="amplitude-batch",
    adapt=_adapt_batch,
    paths=("/batch",),
    keys_in_body=posthog.api_keys,
    answer_to=_answer,
    refusal=_refusal,
)
