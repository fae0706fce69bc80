"""What a source of events says of itself to be taken in: its paths, keys, translation.

An adapter is pure: `Provider.adapt` turns a request, as values, into canonical events
and rejections. What is not pure stays small and beside it: `Provider.guard` checks the
signature and answers challenges. The door (`streams/collector/hooks.py`) does the rest
for all alike: keys, limits, durability, dead letters, metrics, the log.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from schemas.event import Channel, Event, EventType
from schemas.time import EARLIEST, Instant, to_datetime
from schemas.vocabulary import channel_of, spell
from schemas.workspace import DEFAULT_WORKSPACE
from scorers.identity import is_legal
from streams.collector.auth import keys_in_header
from streams.collector.fetching import Fetching
from streams.collector.verdict import Refused, RefusedError, Rejection

WEBHOOKS: Final = "/v1/webhooks"
LONGEST_NAME: Final = 256
LONGEST_IDENTIFIER: Final = 512


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A request as values: nothing of it needs the network again."""

    method: str
    url: str
    """As the sender knows it: with LEADPULSE_PUBLIC_URL, if that is set."""
    headers: Mapping[str, str]
    """By name in lower case."""
    query: Mapping[str, str]
    path: Mapping[str, str] = {}
    """What stood in the braces of the route, `write_key` above all."""
    body: bytes = b""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every event of a request."""

    source: str
    received_at: Instant
    workspace: str = DEFAULT_WORKSPACE

    def event(
        self,
        *,
        id: str,  # noqa: A002 - as the event calls it
        type: EventType = "track",  # noqa: A002 - as the event calls it
        name: str = "",
        channel: Channel | None = None,
        occurred_at: Instant | None = None,
        user_id: str | None = None,
        email: str | None = None,
        anonymous_id: str | None = None,
        properties: Mapping[str, Any] | None = None,
        traits: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Event | Rejection:
        """Return a canonical event of this request, or why there can be none.

        Without a time it happened on receipt; the future counts as now. Values that
        are None or empty texts are left out. Without a channel the name decides.
        """
        when = self.received_at if occurred_at is None else occurred_at
        if when < EARLIEST:
            return Rejection("invalid-timestamp", "before 2000", id)
        person = _legal(user_id)
        address = _legal(email)
        if address is not None and "@" not in address:
            address = None
        device = _legal(anonymous_id)
        if person is None and address is None and device is None:
            return Rejection("unroutable", "names nobody that could be scored", id)
        kept = _present(properties)
        spelt = spell(name[:LONGEST_NAME]) if type == "track" else name[:LONGEST_NAME]
        return Event(
            id=id,
            type=type,
            channel=channel or channel_of(type, spelt, kept),
            occurred_at=to_datetime(min(when, self.received_at)),
            name=spelt,
            user_id=person,
            email=address,
            anonymous_id=device,
            properties=kept,
            traits=_present(traits),
            context=_present(context),
            received_at=to_datetime(self.received_at),
            source=self.source,
            workspace=self.workspace,
        )


def derive_event_id(provider: str, *parts: object) -> str:
    """Return the id of the event that `parts` identify: the same on every repeat.

    >>> derive_event_id("sendgrid", "lC0Rc") == derive_event_id("sendgrid", "lC0Rc")
    True
    """
    digest = hashlib.blake2b(digest_size=16, person=b"leadpulse.event")
    for part in (provider, *parts):
        digest.update(f"{part}\x00".encode(errors="surrogatepass"))
    return digest.hexdigest()


class Taken(msgspec.Struct, kw_only=True):
    """What an adapter made of a request: nothing of it is left out of the three."""

    events: list[Event] = []
    refused: list[Refused] = []
    ignored: list[str] = []
    """The types of what was passed over, as the provider calls them."""

    def add(self, verdict: Event | Rejection, *, index: int, raw: bytes) -> None:
        """Take in one verdict; a rejection keeps the bytes it is about."""
        if isinstance(verdict, Event):
            self.events.append(verdict)
        else:
            self.refused.append(Refused(index=index, rejection=verdict, raw=raw))


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as values."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request whose accepted events are durable."""

    accepted: int
    refused: list[Refused]
    ignored: int


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard may rely on."""

    secrets: Sequence[str]
    """Of this provider in this workspace; several while one follows the other."""
    write_key: str
    now: Instant
    fetch: Fetching
    window_seconds: int | None = None
    """How old a signature may be: None as the provider says, 0 for any age."""
    unsigned: bool = False
    """Whether the operator takes this provider's messages without a signature."""


Adapt = Callable[[Incoming, Envelope], Taken]
Guard = Callable[[Incoming, Trust], Awaitable[Reply | None]]


def keys_in_request(request: Incoming) -> Sequence[str]:
    """Return the write keys that a request offers, in the order they are tried.

    The key in the path decides alone; without one, `write_key` in the query; without
    that, basic auth (as user, as password, or both as ``user:password``) or a bearer
    token.

    Raises
    ------
    RefusedError
        401 when there is an `Authorization` header and it is neither.
    """
    for given in (request.path.get("write_key"), request.query.get("write_key")):
        if given:
            return (given,)
    return keys_in_header(request.headers.get("authorization"))


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of sender: a row of the registry."""

    name: str
    """Of metrics, settings and the path, in lower case: ``sendgrid``."""
    adapt: Adapt
    """Pure. May raise RefusedError for a body that is wholly invalid."""
    paths: tuple[str, ...] = ()
    """Routes of its own; those of webhooks if there are none."""
    methods: tuple[str, ...] = ("POST",)
    keys: Callable[[Incoming], Sequence[str]] = keys_in_request
    """The write keys offered by everything but the body, which is empty still."""
    keys_in_body: Callable[[Incoming], Sequence[str]] | None = None
    """The keys in the body: asked if `keys` finds none."""
    guard: Guard | None = None
    """Runs when the key is known: a reply ends the request, None goes on."""
    answer: Callable[[Outcome], Reply] | None = None
    """What its clients must be told; the collector's own verdict if None."""
    answer_to: Callable[[Incoming, Outcome], Reply] | None = None
    """The same, where the answer depends on the request; it wins."""
    refusal: Callable[[RefusedError], Reply] | None = None
    """What its clients must be told of a request that is refused as a whole."""

    @property
    def routes(self) -> tuple[str, ...]:
        """Return the routes, as templates: keys never stand in a template."""
        own = f"{WEBHOOKS}/{self.name}"
        return self.paths or (own, f"{own}/{{write_key}}")


def _legal(identifier: str | None) -> str | None:
    if identifier is None or len(identifier) > LONGEST_IDENTIFIER:
        return None
    return identifier if is_legal(identifier) else None


def _present(values: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        name: value
        for name, value in (values or {}).items()
        if value is not None and value != ""
    }
