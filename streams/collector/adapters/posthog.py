"""PostHog's capture API: `/batch`, `/capture`, `/e`, and what `/decide` is asked.

The write key is the project's API key, in the body as `api_key` or `token`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from schemas.time import Instant, to_iso
from streams.collector.adapters.fields import JsonObject, at, first_text, instant, text
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
    objects_in,
    take_message,
)
from streams.collector.verdict import RefusedError

_PAGE: Final = {
    "$current_url": "url",
    "$pathname": "path",
    "$referrer": "referrer",
    "$title": "title",
}


def read(incoming: Incoming) -> Any:
    """Return what a request carries: JSON, a form with `data`, base64, gzip.

    Raises
    ------
    RefusedError
        400 when it is none of them; 415 for lz-string.
    """
    if incoming.query.get("compression") in {"lz64", "lz-string"}:
        msg = "lz64 is not read here; use gzip-js, base64 or none"
        raise RefusedError(415, "unknown-encoding", msg)
    body = incoming.body.strip() or incoming.query.get("data", "").encode()
    if body.startswith(b"data=") or b"&data=" in body[:200]:
        try:
            form = dict(parse_qsl(body.decode(), max_num_fields=20))
        except ValueError as error:
            raise RefusedError(400, "invalid-form", str(error)) from None
        body = form.get("data", "").encode()
    return json_or_base64(body)


def take_payload(payload: object, envelope: Envelope) -> Taken:
    """Return the events of a batch, of a list, or the one event."""
    taken = Taken()
    batch = at(payload, "batch")
    sent_at = text(payload, "sent_at")
    for index, event in objects_in(payload if batch is None else batch):
        message = _message(event, envelope.received_at)
        if isinstance(message, str):
            taken.ignored.append(message)
        else:
            sent = sent_at or text(event, "sent_at")
            take_message(taken, message, envelope, raw=event, sent_at=sent, index=index)
    return taken


def _adapt(incoming: Incoming, envelope: Envelope) -> Taken:
    return take_payload(read(incoming), envelope)


def _message(event: JsonObject, received: Instant) -> dict[str, Any] | str:
    """Return one event as a Segment message, or the name of what is passed over."""
    name = text(event, "event") or ""
    held = event.get("properties")
    properties: JsonObject = held if isinstance(held, Mapping) else {}
    told = {
        key: value
        for key, value in properties.items()
        if not key.startswith("$") and key not in {"token", "distinct_id"}
    }
    page = {ours: properties[key] for key, ours in _PAGE.items() if key in properties}
    user, device = _who(event, properties)
    message: dict[str, Any] = {
        "type": "track",
        "messageId": first_text(event, "uuid", "$insert_id")
        or first_text(properties, "$insert_id"),
        "userId": user,
        "anonymousId": device,
        "timestamp": _when(event, received),
        "properties": told,
        "context": _context(properties, page),
    }
    set_once, set_now = (
        at(event, key) or at(properties, key) for key in ("$set_once", "$set")
    )
    traits = {
        **(set_once if isinstance(set_once, Mapping) else {}),
        **(set_now if isinstance(set_now, Mapping) else {}),
    }
    if traits and name not in {"$identify", "$set"}:
        message["context"]["traits"] = traits
    match name:
        case "$pageview":
            return {**message, "type": "page", "properties": {**told, **page}}
        case "$screen":
            title = text(properties, "$screen_name")
            return {**message, "type": "page", "name": title}
        case "$identify" | "$set":
            # `$anon_distinct_id` is the person before: one event shows both.
            return {**message, "type": "identify", "traits": traits, "properties": {}}
        case "$create_alias":
            alias = text(properties, "alias")
            return {**message, "type": "alias", "previousId": device, "userId": alias}
        case _ if name.startswith("$"):
            return name  # autocapture, flags, vitals, profiles of groups
        case _:
            return {**message, "event": name}


def _who(event: JsonObject, properties: JsonObject) -> tuple[str | None, str | None]:
    """Return the user and the device of an event, None for what it does not say."""
    person = first_text(event, "distinct_id", "$distinct_id") or text(
        properties, "distinct_id"
    )
    device = text(properties, "$anon_distinct_id") or text(properties, "$device_id")
    user = text(properties, "$user_id")
    identified = properties.get("$is_identified")
    if text(event, "event") == "$create_alias":
        return None, person
    if user is None and (
        identified is False or (person is not None and person == device)
    ):
        return None, person
    return user or person, device


def _when(event: JsonObject, received: Instant) -> str | None:
    said = text(event, "timestamp") or text(event, "properties", "timestamp")
    if said is not None:
        # Segment's adapter reads the text, and refuses what it cannot.
        return milliseconds(instant({"at": said}, "at")) or said
    offset = event.get("offset")
    if isinstance(offset, int) and not isinstance(offset, bool):
        return to_iso(max(received - max(offset, 0), 0))
    return None


def _context(properties: JsonObject, page: Mapping[str, Any]) -> dict[str, Any]:
    fields = {
        "session_id": text(properties, "$session_id"),
        "ip": text(properties, "$ip"),
        "user_agent": first_text(properties, "$raw_user_agent", "$user_agent"),
        "library": text(properties, "$lib"),
        "group_id": text(properties, "$groups", "company"),
    }
    context: dict[str, Any] = {
        key: one for key, one in fields.items() if one is not None
    }
    return {**context, "page": dict(page)} if page else context


def api_keys(incoming: Incoming) -> Sequence[str]:
    """Return the API key in the body, wherever PostHog's clients put it."""
    try:
        payload = read(incoming)
    except RefusedError:
        return ()
    found = first_text(payload, "api_key", "token")
    for _, event in objects_in(at(payload, "batch") or payload):
        found = (
            found
            or first_text(event, "api_key", "token", "$token")
            or text(event, "properties", "token")
        )
    return (found,) if found else ()


def _taken(_: Outcome) -> Reply:
    """Return success: what could not be taken is a dead letter, not sent again."""
    return json_reply({"status": 1})


def _no_flags(_: Outcome) -> Reply:
    """Return what a client asks at its start: there is nothing to switch on."""
    return json_reply(
        {
            "config": {"enable_collect_everything": True},
            "supportedCompression": ["gzip", "gzip-js"],
            "featureFlags": {},
            "featureFlagPayloads": {},
            "flags": {},
            "errorsWhileComputingFlags": False,
            "sessionRecording": False,
            "isAuthenticated": False,
            "editorParams": {},
            "siteApps": [],
        }
    )


def _refusal(refused: RefusedError) -> Reply:
    kind = "authentication_error" if refused.status == 401 else "validation_error"  # noqa: PLR2004
    told = {"type": kind, "code": refused.reason, "detail": refused.detail}
    return json_reply(told, refused.status)


POSTHOG: Final = Provider(
    name="posthog",
    adapt=_adapt,
    paths=("/batch/", "/capture", "/capture/", "/e", "/e/", "/i/v0/e", "/i/v0/e/"),
    keys_in_body=api_keys,
    answer=_taken,
    refusal=_refusal,
)
POSTHOG_FLAGS: Final = Provider(
    name="posthog-flags",
    adapt=lambda _incoming, _envelope: Taken(),
    paths=("/decide", "/decide/", "/flags", "/flags/"),
    keys_in_body=api_keys,
    answer=_no_flags,
    refusal=_refusal,
)
POSTHOG_CONFIG: Final = Provider(
    name="posthog-config",
    adapt=lambda _incoming, _envelope: Taken(),
    paths=("/array/{write_key}/config",),
    methods=("GET",),
    answer=_no_flags,
    refusal=_refusal,
)
"""What the browser's client asks for beside its flags."""
