"""Segment's HTTP tracking API: one of its messages becomes one canonical event.

What Segment's specification leaves to the receiver is decided here: clock skew is
corrected as Segment does it, keys become snake_case, and `context.page` fills what
a page or track event does not say itself.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from schemas.event import Event, EventType
from schemas.time import EARLIEST, Instant, to_datetime, to_instant
from schemas.vocabulary import channel_of, spell
from schemas.workspace import DEFAULT_WORKSPACE
from scorers.identity import is_legal
from streams.collector.verdict import Rejection

Call = Literal["track", "identify", "page", "screen", "group", "alias"]
CALLS: Final[Mapping[str, EventType]] = {
    "track": "track",
    "identify": "identify",
    "page": "page",
    "screen": "page",
    "group": "group",
    "alias": "alias",
}
"""Segment's calls and the type of event each becomes."""

_LONGEST_NAME: Final = 256
_LONGEST_IDENTIFIER: Final = 512
_DEEPEST: Final = 64
_TOO_DEEP: Final = f"nested too deeply; at most {_DEEPEST} levels"
_PAGE_PROPERTIES: Final = ("path", "url", "referrer", "title")

_Id = (
    Annotated[str, msgspec.Meta(max_length=_LONGEST_IDENTIFIER)]
    | Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
    | None
)
_MessageId = (
    Annotated[str, msgspec.Meta(max_length=256)]
    | Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
    | None
)


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What the request says of every event in it."""

    source: str
    workspace: str = DEFAULT_WORKSPACE
    received_at: Instant
    call: Call | None = None
    """The call the route names; None where each message says its own."""
    sent_at: Instant | None = None
    context: dict[str, Any] = {}


class _Message(msgspec.Struct, rename="camel"):
    """The fields of a message that are read, with the spellings seen in the wild."""

    type: str | None = None
    action: str | None = None
    """Segment's own e-mail examples say `action` in place of `type`."""
    event: Annotated[str, msgspec.Meta(max_length=_LONGEST_NAME)] | None = None
    name: str | None = None
    category: str | None = None
    message_id: _MessageId = None
    user_id: _Id = None
    user_id_snake: _Id = msgspec.field(default=None, name="user_id")
    anonymous_id: _Id = None
    anonymous_id_snake: _Id = msgspec.field(default=None, name="anonymous_id")
    previous_id: _Id = None
    group_id: _Id = None
    properties: dict[str, Any] | None = None
    traits: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None


class _Named(msgspec.Struct, rename="camel"):
    """Just enough of a message to name it in a verdict."""

    message_id: Any = None


_decode: Final = msgspec.json.Decoder(_Message).decode
_decode_named: Final = msgspec.json.Decoder(_Named).decode


def adapt(raw: bytes, envelope: Envelope) -> Event | Rejection:
    """Return the canonical event of one message, or why there is none.

    A message without an id gets one derived from its bytes, so that a client that
    sends it again is not counted twice.
    """
    try:
        message = _decode(raw)
    except msgspec.ValidationError as error:
        return Rejection("invalid-event", str(error), _message_id(raw))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Rejection("invalid-json", str(error), _message_id(raw))
    except RecursionError:
        return Rejection("invalid-json", _TOO_DEEP, _message_id(raw))
    if raw.count(b"{") + raw.count(b"[") > _DEEPEST and _too_deep(message):
        return Rejection("invalid-json", _TOO_DEEP, _message_id(raw))
    given_id = None if message.message_id is None else str(message.message_id)
    verdict = _event(message, envelope, given_id or id_of(raw, envelope))
    if isinstance(verdict, tuple):
        reason, detail = verdict
        return Rejection(reason, detail, given_id)
    return verdict


_Problem = tuple[Literal["invalid-event", "invalid-timestamp", "unroutable"], str]
_UNKNOWN_TYPE: Final = f"must be one of {', '.join(CALLS)} - at `$.type`"
_BAD_TIME: Final = "must be ISO 8601, 2000-01-01 at the earliest - at `$.timestamp`"
_NOBODY: Final = "needs a userId, an anonymousId or an e-mail address"


def _event(message: _Message, envelope: Envelope, event_id: str) -> Event | _Problem:
    kind = CALLS.get(envelope.call or message.type or message.action or "")
    if kind is None:
        return "invalid-event", _UNKNOWN_TYPE
    if kind == "track" and not message.event:
        return "invalid-event", "a track needs a name - at `$.event`"
    occurred_at = _occurred_at(message, envelope)
    if occurred_at is None:
        return "invalid-timestamp", _BAD_TIME
    properties = _snake(message.properties)
    traits = _snake(message.traits)
    context = _snake({**envelope.context, **(message.context or {})})
    if kind == "identify" and not traits and isinstance(context.get("traits"), dict):
        traits = _snake(context["traits"])  # where RudderStack's SDKs put them
    user_id = _identifier(message.user_id, message.user_id_snake)
    anonymous_id = _identifier(
        message.previous_id if kind == "alias" else None,
        message.anonymous_id,
        message.anonymous_id_snake,
    )
    # A group's traits are the company's: its address is nobody's in particular.
    email = _email({} if kind == "group" else traits, context, properties)
    if user_id is None and email is None and anonymous_id is None:
        return "unroutable", _NOBODY
    match kind:
        case "group":
            _complete_group(traits, properties, message.group_id)
        case "identify":
            _complete_traits(traits)
        case "page" | "track":
            _complete_properties(properties, context, message.category)
    _complete_account(traits, context, message.group_id)
    name = _name(kind, message, properties)
    return Event(
        id=event_id,
        type=kind,
        channel=channel_of(kind, name, properties),
        occurred_at=to_datetime(occurred_at),
        name=name,
        anonymous_id=anonymous_id,
        user_id=user_id,
        email=email,
        properties=properties,
        traits=traits,
        context=context,
        received_at=to_datetime(envelope.received_at),
        source=envelope.source,
        workspace=envelope.workspace,
    )


def _name(kind: EventType, message: _Message, properties: Mapping[str, Any]) -> str:
    """Return a track's name as the vocabulary spells it, a page's title, or none."""
    if kind == "track":
        return spell(message.event or "")
    if kind == "page":
        title = message.name or properties.get("title")
        return title[:_LONGEST_NAME] if isinstance(title, str) else ""
    return ""


def _occurred_at(message: _Message, envelope: Envelope) -> Instant | None:
    """Return when it happened by our clock; None if that cannot be.

    The client's clock may be wrong, but the time between `timestamp` and `sentAt`
    is right even then, so the event happened that long before its receipt.
    """
    said = message.original_timestamp or message.timestamp
    if said is None:
        return envelope.received_at
    stamp = parse_time(said)
    if stamp is None:
        return None
    sent = envelope.sent_at
    if sent is None:
        sent = parse_time(message.sent_at)
    if sent is not None:
        stamp = envelope.received_at - (sent - stamp)
    if stamp < EARLIEST:
        return None
    return min(stamp, envelope.received_at)


_SHORT_DIGIT: Final = re.compile(r"-(\d)(?=[-T ]|$)")


def parse_time(text: object) -> Instant | None:
    """Return the instant that ISO 8601 `text` names; without a zone it is UTC."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        # Segment's own example of a batch says "2015-2-02".
        try:
            moment = datetime.fromisoformat(_SHORT_DIGIT.sub(r"-0\1", text))
        except ValueError:
            return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return to_instant(moment)


def _identifier(*given: str | int | None) -> str | None:
    """Return the first legal identifier of those given."""
    for identifier in given:
        if identifier is not None and is_legal(text := str(identifier)):
            return text
    return None


def _email(
    traits: Mapping[str, Any], context: Mapping[str, Any], properties: Mapping[str, Any]
) -> str | None:
    """Return the person's e-mail address as it was given, if it looks like one."""
    of_context = context.get("traits")
    for holder in (traits, of_context, properties):
        if not isinstance(holder, Mapping):
            continue
        email = holder.get("email")
        if (
            isinstance(email, str)
            and "@" in email
            and len(email) <= _LONGEST_IDENTIFIER
            and is_legal(email)
        ):
            return email
    return None


def _complete_properties(
    properties: dict[str, Any], context: Mapping[str, Any], category: str | None
) -> None:
    """Fill in what the page the event happened on tells."""
    page = context.get("page")
    if isinstance(page, Mapping):
        for name in _PAGE_PROPERTIES:
            if name not in properties and isinstance(page.get(name), str):
                properties[name] = page[name]
    url = properties.get("url")
    if "path" not in properties and isinstance(url, str):
        with suppress(ValueError):  # not a URL: then it has no path
            properties["path"] = urlsplit(url).path or "/"
    if category is not None:
        properties.setdefault("category", category)


def _complete_traits(traits: dict[str, Any]) -> None:
    """Lift a person's company and country out of Segment's nested traits."""
    company = traits.get("company")
    if isinstance(company, dict):
        nested = _snake(company)
        if "name" in nested:
            traits["company"] = nested["name"]
        for name, source in (("employees", "employee_count"), ("industry",) * 2):
            if source in nested:
                traits.setdefault(name, nested[source])
    address = traits.get("address")
    if isinstance(address, dict) and "country" in address:
        traits.setdefault("country", address["country"])


def _complete_group(
    traits: dict[str, Any], properties: dict[str, Any], group_id: str | int | None
) -> None:
    """Turn a group's traits into what they say of its member's company."""
    name = traits.pop("name", None)
    if name is not None:
        traits.setdefault("company", name)
    if group_id is not None:
        properties.setdefault("group_id", str(group_id))
    _complete_traits(traits)


def _complete_account(
    traits: dict[str, Any], context: Mapping[str, Any], group_id: str | int | None
) -> None:
    """Say which account the person acts for: its group, as the trait `account_id`."""
    of_context = context.get("group_id")
    for group in (group_id, of_context):
        if isinstance(group, str | int) and is_legal(text := str(group)):
            traits.setdefault("account_id", text[:_LONGEST_IDENTIFIER])
            return


_WORD: Final = re.compile(r"^[A-Za-z][A-Za-z0-9 _-]*$")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[ -]+")


@lru_cache(maxsize=4096)
def snake_case(key: str) -> str:
    """Return `key` in snake_case where it is made of words, else as it is.

    >>> snake_case("firstName"), snake_case("assetURL"), snake_case("Feed Type")
    ('first_name', 'asset_url', 'feed_type')
    >>> snake_case("$set"), snake_case("utm.source")
    ('$set', 'utm.source')
    """
    return _HUMP.sub("_", key).lower() if _WORD.match(key) else key


def _snake(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return `values` under snake_case keys; one so spelt already wins."""
    if not values:
        return {}
    renamed = {snake_case(key): value for key, value in values.items()}
    if len(renamed) < len(values):
        renamed.update({key: values[key] for key in renamed.keys() & values.keys()})
    return renamed


def _too_deep(message: _Message) -> bool:
    """Say whether values nest deeper than every reader of the topic can follow."""
    level: list[Any] = [message.properties, message.traits, message.context]
    for _ in range(_DEEPEST):
        level = [child for value in level for child in _children(value)]
        if not level:
            return False
    return True


def _children(value: object) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def id_of(raw: bytes, envelope: Envelope) -> str:
    """Return the id of a message that says none: the same on every repeat."""
    digest = hashlib.blake2b(raw, digest_size=16, person=b"leadpulse.event")
    digest.update(f"\x00{envelope.source}\x00{envelope.call}".encode())
    return digest.hexdigest()


def _message_id(raw: bytes) -> str | None:
    """Return the id of a message that cannot be read as a whole, if it says one."""
    try:
        message_id = _decode_named(raw).message_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return message_id if isinstance(message_id, str) else None
