"""X's account activity webhooks: posts, likes, follows, messages; CRC challenges."""

import base64
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from schemas.time import Instant, to_instant
from streams.collector.adapters.fields import (
    JsonObject,
    at,
    first_text,
    objects,
    read_object,
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

_OWN: Final = "own"
_CREATED: Final = "%a %b %d %H:%M:%S %z %Y"


def adapt(request: Incoming, envelope: Envelope) -> Taken:
    """Return what people did with an account and its posts."""
    body = read_object(request.body)
    us = text(body, "for_user_id") or ""
    taken = Taken()
    index = 0
    for name, value in body.items():
        if not isinstance(value, list):
            continue
        for raw, item in encoded(objects(body, name)):
            found = _deed(name, item, us)
            if isinstance(found, str):
                taken.ignored.append(found)
            else:
                taken.add(social_event(found, envelope), index=index, raw=raw)
            index += 1
    return taken


def _deed(name: str, item: JsonObject, us: str) -> Deed | str:
    match name:
        case "tweet_create_events":
            return _post(item, us)
        case "favorite_events":
            return _like(item, us)
        case "follow_events":
            return _follow(item, us)
        case "direct_message_events":
            return _message(item, us)
        case _:
            return name


def _post(item: JsonObject, us: str) -> Deed | str:
    user = at(item, "user")
    if text(user, "id_str") == us:
        return _OWN
    shared = next(
        (
            at(item, name)
            for name in ("retweeted_status", "quoted_status")
            if text(item, name, "user", "id_str") == us
        ),
        None,
    )
    act: Act
    if shared is not None:
        act, about = "Post Shared", text(shared, "id_str")
    elif text(item, "in_reply_to_user_id_str") == us:
        act, about = "Post Replied", text(item, "in_reply_to_status_id_str")
    elif us in _mentioned(item):
        act, about = "Mentioned", text(item, "id_str")
    else:
        return "tweet_create_events of others"
    return _of(user, act, item, about, text(item, "id_str"))


def _mentioned(item: JsonObject) -> Iterable[str | None]:
    long = at(item, "extended_tweet")
    holders = (item, long) if isinstance(long, dict) else (item,)
    return [
        text(mention, "id_str")
        for holder in holders
        for mention in objects(holder, "entities", "user_mentions")
    ]


def _like(item: JsonObject, us: str) -> Deed | str:
    user = at(item, "user")
    post = at(item, "favorited_status")
    if text(user, "id_str") == us or text(post, "user", "id_str") != us:
        return _OWN
    return _of(user, "Post Liked", item, text(post, "id_str"), text(item, "id"))


def _follow(item: JsonObject, us: str) -> Deed | str:
    kind = text(item, "type") or "other"
    if kind != "follow":
        return kind
    source = at(item, "source")
    if text(source, "id") == us or text(source, "id_str") == us:
        return _OWN
    return _of(source, "Followed", item, None, None)


def _message(item: JsonObject, us: str) -> Deed | str:
    sender = text(item, "message_create", "sender_id")
    if sender is None or sender == us:
        return _OWN
    stamp = first_text(item, "created_timestamp")
    return Deed(
        act="Message Received",
        network="x",
        person=sender,
        at=when(stamp),
        ids=("message", text(item, "id")),
        properties={"message_id": text(item, "id")},
    )


def _of(
    user: object, act: Act, item: JsonObject, post: str | None, own: str | None
) -> Deed:
    person = first_text(user, "id_str", "id")
    stamp = first_text(item, "timestamp_ms", "created_timestamp", "created_at")
    return Deed(
        act=act,
        network="x",
        person=person,
        name=text(user, "name"),
        username=text(user, "screen_name"),
        at=when(stamp) or _created(stamp),
        ids=(own or stamp, person, post),
        post_id=post,
    )


def _created(stamp: str | None) -> Instant | None:
    """Return the time that X writes as ``Wed Aug 27 13:08:45 +0000 2008``."""
    try:
        return to_instant(datetime.strptime(stamp or "", _CREATED))  # noqa: DTZ007
    except (ValueError, OverflowError):
        return None


def _response(_: str, digest: bytes) -> object:
    return {"response_token": f"sha256={base64.b64encode(digest).decode()}"}


X: Final = Provider(
    name="x",
    adapt=adapt,
    methods=("POST", "GET"),
    guard=challenged(
        hmac_of_body(
            "x-twitter-webhooks-signature", prefix="sha256=", encoding="base64"
        ),
        provider="x",
        asks_for="consumer secret",
        parameter="crc_token",
        pattern=re.compile(r"[\x21-\x7e]{1,512}"),
        answer=_response,
    ),
)
