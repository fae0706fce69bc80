"""LinkedIn's webhooks: social actions on a page, lead forms. `X-LI-Signature`."""

import re
from typing import Final

from streams.collector.adapters.fields import (
    JsonObject,
    at,
    objects,
    read_object,
    scalar,
    text,
    when,
)
from streams.collector.adapters.mail import encoded
from streams.collector.adapters.provider import (
    Envelope,
    Incoming,
    Provider,
    Taken,
)
from streams.collector.adapters.signatures import challenged, hmac_of_body
from streams.collector.adapters.social import Act, Deed, social_event

_ACTS: Final[dict[str, Act]] = {
    "LIKE": "Post Liked",
    "COMMENT": "Post Replied",
    "SHARE": "Post Shared",
    "SHARE_MENTION": "Mentioned",
}
_PERSON: Final = re.compile(r"urn:li:(?:person|member):([A-Za-z0-9_-]{1,128})")
_ORGANIZATION: Final = "urn:li:organization:"


def adapt(request: Incoming, envelope: Envelope) -> Taken:
    """Return what people did with a page, and the forms they filled in."""
    body = read_object(request.body)
    taken = Taken()
    items = [(request.body, body)]
    if isinstance(at(body, "notifications"), list):
        items = list(encoded(objects(body, "notifications")))
    for index, (raw, item) in enumerate(items):
        found = _lead(item) if text(item, "type") == "LEAD_ACTION" else _deed(item)
        if isinstance(found, str):
            taken.ignored.append(found)
        else:
            taken.add(social_event(found, envelope), index=index, raw=raw)
    return taken


def _deed(item: JsonObject) -> Deed | str:
    kind = text(item, "action") or text(item, "type") or "other"
    act = _ACTS.get(kind)
    if act is None:
        return kind
    actor = _actor(item)
    if actor is not None and actor.startswith(_ORGANIZATION):
        return "organization"
    person = None if actor is None else _PERSON.search(actor)
    return Deed(
        act=act,
        network="linkedin",
        person=None if person is None else person[1],
        at=when(scalar(item, "lastModifiedAt")),
        ids=(
            text(item, "notificationId")
            or (text(item, "generatedActivity"), scalar(item, "lastModifiedAt")),
        ),
        post_id=text(item, "sourcePost"),
        properties={"activity_id": text(item, "generatedActivity")},
    )


def _actor(item: JsonObject) -> str | None:
    """Return the URN of who acted: the owner of what came of it, or in its own URN."""
    decorated = at(item, "decoratedGeneratedActivity")
    for holder in (at(decorated, "comment"), at(decorated, "share"), decorated):
        for name in ("actor", "owner", "author"):
            if (found := text(holder, name)) is not None:
                return found
    found = text(item, "generatedActivity") or ""
    return found if _PERSON.search(found) else None


def _lead(item: JsonObject) -> Deed | str:
    """Return the form that was filled in; who it was, the CRM knows by its URN."""
    action = text(item, "leadAction") or "other"
    if action != "CREATED":
        return f"LEAD_ACTION {action}"
    response = text(item, "leadGenFormResponse")
    stamp = scalar(item, "occurredAt")
    return Deed(
        act="Form Submitted",
        network="linkedin",
        person=None if response is None else f"lead:{response}",
        at=when(stamp),
        ids=("lead", response),
        properties={
            "form": text(item, "leadGenForm"),
            "lead_id": response,
            "lead_type": text(item, "leadType"),
        },
    )


def _response(code: str, digest: bytes) -> object:
    return {"challengeCode": code, "challengeResponse": digest.hex()}


LINKEDIN: Final = Provider(
    name="linkedin",
    adapt=adapt,
    methods=("POST", "GET"),
    guard=challenged(
        hmac_of_body("x-li-signature", salt=b"hmacsha256="),
        provider="linkedin",
        asks_for="client secret",
        parameter="challengeCode",
        pattern=re.compile(r"[A-Za-z0-9-]{1,100}"),
        answer=_response,
    ),
)
