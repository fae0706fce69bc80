"""Sending a file of events into a running system: over HTTP or onto the topics.

The collector speaks Segment's API, so a canonical event goes to it as the Segment
message that its adapter turns back into the same event; only the receipt is new.
"""

import asyncio
import gzip
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import urllib3

from schemas.event import Event
from schemas.vocabulary import channel_of, spell
from scorers.identity import derive_lead_id
from streams.errors import UserError
from streams.event_log import EventLog, NotDurableError, event_record

BATCH: Final = 100
"""Events in one request or append."""

_BODY_BYTES: Final = 400_000
RETRIES: Final = 8
"""How often a request is repeated, some twenty seconds in all."""
_CONNECT_RETRIES: Final = 3
"""Where nothing listens, waiting longer seldom helps."""
_PASSING: Final = frozenset({429, 500, 502, 503, 504})
"""Statuses after which the same request may well succeed."""
_CLIENT_ERRORS: Final = 400

_encode: Final = msgspec.json.Encoder().encode

Line = tuple[Event, bytes]
"""An event and its bytes as they stood in the file."""


class SendError(UserError):
    """The system does not take events in; the text says why and what to do."""


class Refused(NamedTuple):
    """An event the system would not take, and why."""

    event_id: str
    reason: str


class Target(Protocol):
    """Where events are sent."""

    async def send(self, lines: Sequence[Line]) -> list[Refused]:
        """Return the events refused, once the others are durable.

        Raises
        ------
        SendError
            When nothing can be sent.
        """
        ...


class CollectorTarget:
    """A collector: Segment's batch call, repeated while it says "try again"."""

    def __init__(self, url: str, write_key: str, *, retries: int = RETRIES) -> None:
        """Send to the collector at `url`; repeat a busy request `retries` times."""
        self._url = f"{url.rstrip('/')}/v1/batch"
        basic = urllib3.make_headers(basic_auth=f"{write_key}:")
        self._headers = {
            **basic,
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        }
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=5.0, read=30.0),
            retries=urllib3.Retry(
                total=retries,
                connect=min(retries, _CONNECT_RETRIES),
                backoff_factor=0.2,
                backoff_max=5.0,
                backoff_jitter=0.1,
                status_forcelist=_PASSING,
                allowed_methods=None,  # a repeat repeats the ids, so POST may
                raise_on_status=False,
            ),
        )

    async def send(self, lines: Sequence[Line]) -> list[Refused]:
        """Return the events the collector refused; the others are in Kafka."""
        refused: list[Refused] = []
        for messages in _bodies(event for event, _ in lines):
            refused += await asyncio.to_thread(self.post, messages)
        return refused

    def post(self, messages: Sequence[dict[str, Any]]) -> list[Refused]:
        """Send Segment messages in one request; return those refused.

        Raises
        ------
        SendError
            When the collector cannot be reached or takes nothing.
        """
        body = gzip.compress(_encode({"batch": messages}), compresslevel=1)
        try:
            answer = self._pool.request(
                "POST", self._url, body=body, headers=self._headers
            )
        except urllib3.exceptions.HTTPError as error:
            why = getattr(error, "reason", None) or error
            msg = f"no collector answers at {self._url}: {why}"
            raise SendError(msg) from None
        told = _json(answer.data)
        rejected = told.get("rejected")
        if answer.status >= _CLIENT_ERRORS and not isinstance(rejected, list):
            problem = told.get("error") or {}
            detail = problem.get("detail") or "no reason given"
            msg = f"{self._url} answers {answer.status}: {detail}"
            raise SendError(msg)
        return [
            Refused(
                str(messages[one["index"]].get("messageId")),
                f"{one['reason']}: {one['detail']}",
            )
            for one in rejected or ()
        ]


class TopicTarget:
    """The topics themselves: each event on its topic, keyed by its lead."""

    def __init__(
        self,
        event_log: EventLog,
        *,
        prefix: str,
        known_as: Callable[[Event], Event] | None = None,
    ) -> None:
        """Append to `event_log`, topics under `prefix`; `known_as` may hide people."""
        self._event_log = event_log
        self._prefix = prefix
        self._known_as = known_as

    async def send(self, lines: Sequence[Line]) -> list[Refused]:
        """Return nothing, once all events are durable as the bytes they were."""
        records = []
        for given, raw in lines:
            event = given if self._known_as is None else self._known_as(given)
            lead_id = derive_lead_id(event)
            assert lead_id is not None  # noqa: S101 - a checked file has no others
            record = event_record(event, lead_id, prefix=self._prefix)
            records.append(record if self._known_as else record._replace(value=raw))
        try:
            await self._event_log.append(records)
        except NotDurableError as error:
            msg = f"the broker did not take the events: {error}"
            raise SendError(msg) from None
        return []


class Sent(msgspec.Struct):
    """How far a sending has come."""

    events: int = 0
    refused: list[Refused] = []


async def send_all(
    lines: Iterable[Line],
    target: Target,
    sent: Sent,
    *,
    rate: float | None = None,
    report: Callable[[int], None] = lambda _: None,
) -> None:
    """Send every event in order, at most `rate` a second, counting in `sent`.

    Raises
    ------
    SendError
        When the target fails for good; `sent` says how far it came.
    """
    size = BATCH if rate is None else max(1, min(BATCH, int(rate / 10)))
    started = time.monotonic()
    for batch in _batches(lines, size):
        sent.refused += await target.send(batch)
        sent.events += len(batch)
        report(sent.events)
        if rate is not None:
            due = started + sent.events / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))


def to_segment(event: Event) -> dict[str, Any]:
    """Return the Segment message that the collector turns back into `event`.

    It has no `sentAt`: then the collector takes `timestamp` as it stands.
    """
    message: dict[str, Any] = {
        "type": event.type,
        "messageId": event.id,
        "timestamp": event.occurred_at.isoformat(),
        "properties": event.properties,
        "context": _context(event),
    }
    if event.traits:
        message["traits"] = event.traits
    if event.user_id is not None:
        message["userId"] = event.user_id
    if event.anonymous_id is not None:
        alias = event.type == "alias"
        message["previousId" if alias else "anonymousId"] = event.anonymous_id
    if event.type == "track":
        message["event"] = event.name
    elif event.name:
        message["name"] = event.name
    return message


def keeps_channel(event: Event) -> bool:
    """Say whether Segment's API can tell the event's channel: it goes by the name."""
    told = channel_of(event.type, spell(event.name), event.properties)
    return told == event.channel


def _context(event: Event) -> dict[str, Any]:
    """Return the context, with the e-mail address where the adapter looks for it."""
    if event.email is None or event.traits.get("email") == event.email:
        return event.context
    traits = event.context.get("traits")
    known = traits if isinstance(traits, dict) else {}
    return {**event.context, "traits": {**known, "email": event.email}}


def _bodies(events: Iterable[Event]) -> Iterator[list[dict[str, Any]]]:
    """Yield the messages in groups that fit a request's body."""
    group: list[dict[str, Any]] = []
    size = 0
    for event in events:
        message = to_segment(event)
        length = len(_encode(message))
        if group and size + length > _BODY_BYTES:
            yield group
            group, size = [], 0
        group.append(message)
        size += length
    if group:
        yield group


def _batches(lines: Iterable[Line], size: int) -> Iterator[list[Line]]:
    batch: list[Line] = []
    for line in lines:
        batch.append(line)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _json(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
