"""Meta's webhooks: pages, Instagram, lead ads, messages. `X-Hub-Signature-256`."""

import re
from collections.abc import Iterable
from typing import Final

from schemas.time import Instant
from streams.collector.adapters.fields import (
    JsonObject,
    at,
    first_text,
    objects,
    read_object,
    scalar,
    text,
    texts,
    when,
)
from streams.collector.adapters.mail import encoded
from streams.collector.adapters.provider import (
    Envelope,
    Incoming,
    Provider,
    Reply,
    Taken,
    Trust,
)
from streams.collector.adapters.signatures import (
    hmac_of_body,
    require_signature,
    same,
)
from streams.collector.adapters.social import (
    Act,
    Deed,
    Network,
    is_offer,
    social_event,
)
from streams.collector.verdict import RefusedError

_NETWORKS: Final[dict[str, Network]] = {"page": "facebook", "instagram": "instagram"}
_LIKES: Final = frozenset({"like", "reaction"})
_POSTS: Final = frozenset({"post", "status", "photo", "video", "link"})
_COMMENTS: Final = frozenset({"comments", "live_comments"})
_MENTIONS: Final = frozenset({"mention", "mentions"})
_OWN: Final = "own"
_DOWNLOAD: Final = "download"
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_is_signed: Final = hmac_of_body("x-hub-signature-256", prefix="sha256=")


def adapt(request: Incoming, envelope: Envelope) -> Taken:
    """Return what people did with a page or an account."""
    body = read_object(request.body)
    network = _NETWORKS.get(text(body, "object") or "")
    taken = Taken()
    if network is None:
        taken.ignored.append(text(body, "object") or "other")
        return taken
    for index, (raw, entry) in enumerate(encoded(objects(body, "entry"))):
        for found in _deeds(network, entry):
            if isinstance(found, str):
                taken.ignored.append(found)
            else:
                event = social_event(found, envelope)
                taken.add(event, index=index, raw=raw)
    return taken


def _deeds(network: Network, entry: JsonObject) -> Iterable[Deed | str]:
    for change in objects(entry, "changes"):
        yield _change(network, entry, change)
    for message in objects(entry, "messaging"):
        yield _message(network, entry, message)


def _change(network: Network, entry: JsonObject, change: JsonObject) -> Deed | str:
    field = text(change, "field") or "other"
    value = at(change, "value")
    if field == "leadgen":
        return _lead(network, entry, value)
    item = text(value, "item")
    person = (
        text(value, "from", "id") or text(value, "sender_id") or text(value, "user_id")
    )
    act = _act(field, item, value)
    if act is None:
        return f"{field} {item or ''} {text(value, 'verb') or ''}".strip()
    if person is not None and person == text(entry, "id"):
        return _OWN
    stamp = scalar(value, "created_time") or scalar(entry, "time")
    comment = text(value, "comment_id")
    if field in _COMMENTS:
        comment = text(value, "id")
    post = (
        text(value, "post_id") or text(value, "media", "id") or text(value, "media_id")
    )
    return Deed(
        act=act,
        network=network,
        person=person,
        name=text(value, "from", "name") or text(value, "sender_name"),
        username=text(value, "from", "username"),
        at=when(stamp),
        ids=(field, item, post, comment, person, stamp),
        post_id=post or comment,
        properties={
            "comment_id": comment,
            "reaction": text(value, "reaction_type"),
        },
    )


def _act(field: str, item: str | None, value: object) -> Act | None:
    """Return what somebody did, None for what is undone, changed or not theirs."""
    if field in _COMMENTS:
        return "Post Replied"
    if field == "mentions":
        return "Mentioned"
    if text(value, "verb") != "add":
        return None
    if field in _MENTIONS:
        return "Mentioned"
    if field != "feed":
        return None
    if item in _LIKES:
        of_post = text(value, "post_id") or text(value, "comment_id")
        return "Post Liked" if of_post else "Page Liked"
    if item == "comment":
        return "Post Replied"
    if item == "share":
        return "Post Shared"
    return "Mentioned" if item in _POSTS else None


def _lead(network: Network, entry: JsonObject, value: object) -> Deed:
    """Return the form of a lead ad; who it was, the CRM knows by the lead's id.

    What resolves the lead on the way puts its answers into `field_data`.
    """
    lead = text(value, "leadgen_id") or text(value, "id")
    answers = {
        text(answer, "name") or "": next(iter(texts(answer, "values")), None)
        for answer in objects(value, "field_data")
    }
    form = text(value, "form_name")
    return Deed(
        act="Offer Downloaded" if is_offer(form) else "Form Submitted",
        network=network,
        person=None if lead is None else f"lead:{lead}",
        email=answers.get("email"),
        name=answers.get("full_name"),
        at=when(scalar(value, "created_time") or scalar(entry, "time")),
        ids=("leadgen", lead),
        properties={
            "form": form or text(value, "form_id"),
            "form_id": text(value, "form_id"),
            "lead_id": lead,
            "ad_id": text(value, "ad_id"),
            "campaign_id": text(value, "campaign_id"),
        },
        traits={
            "company": answers.get("company_name"),
            "title": answers.get("job_title"),
            "country": answers.get("country"),
        },
    )


def _message(network: Network, entry: JsonObject, message: JsonObject) -> Deed | str:
    kind = next((name for name in ("message", "postback") if name in message), None)
    if kind is None:
        kinds = message.keys() - {"sender", "recipient", "timestamp"}
        return min(map(str, kinds), default="other")
    what = at(message, kind)
    person = text(message, "sender", "id") or text(message, "sender", "user_ref")
    if scalar(what, "is_echo") is True or person == text(entry, "id"):
        return _OWN
    stamp: Instant | None = when(scalar(message, "timestamp"))
    payload = first_text(what, "payload") or text(what, "quick_reply", "payload")
    act: Act = "Message Received"
    if payload is not None and payload.lower().startswith(_DOWNLOAD):
        act = "Offer Downloaded"
    elif at(what, "reply_to", "story") is not None:
        act = "Post Replied"
    return Deed(
        act=act,
        network=network,
        person=person,
        at=stamp,
        ids=("messaging", kind, text(what, "mid"), person, stamp),
        post_id=text(what, "reply_to", "story", "id"),
        properties={
            "message_id": text(what, "mid"),
            "payload": payload,
            "offer": payload if act == "Offer Downloaded" else None,
            "referral": text(what, "referral", "ref"),
        },
    )


async def _guard(request: Incoming, trust: Trust) -> Reply | None:
    if request.method == "POST":
        require_signature(request, trust, _is_signed)
        return None
    challenge = request.query.get("hub.challenge", "")
    if not same(trust.write_key, request.query.get("hub.verify_token")):
        msg = "give the write key as the verify token"
        raise RefusedError(403, "wrong-verify-token", msg)
    if _CHALLENGE.fullmatch(challenge) is None:
        msg = "there is no hub.challenge"
        raise RefusedError(400, "no-challenge", msg)
    return Reply(body=challenge.encode(), content_type="text/plain")


META: Final = Provider(name="meta", adapt=adapt, methods=("POST", "GET"), guard=_guard)
