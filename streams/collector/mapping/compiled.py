"""A mapping made ready, and its one act: a payload becomes events. Pure."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from schemas.dead_letter import DeadLetterReason
from schemas.event import Channel, Event, EventType
from schemas.time import EARLIEST, Instant, to_datetime, to_instant
from schemas.vocabulary import channel_of, spell
from schemas.workspace import DEFAULT_WORKSPACE
from scorers.identity import is_legal
from streams.collector.adapters.segment import snake_case
from streams.collector.mapping.expression import (
    ExpressionError,
    Search,
    compile_expression,
)
from streams.collector.mapping.language import EventPart, Fields, Mapping, Reading
from streams.collector.mapping.values import (
    UnreadableError,
    as_moment,
    compile_value,
)
from streams.collector.verdict import Rejection

_SINGLE: Final = ("id", "user_id", "email", "anonymous_id")
_TIMES: Final = ("occurred_at", "received_at")
_GROUPS: Final = ("properties", "traits", "context")
_ALL: Final = "*"
_LONGEST_NAME: Final = 256
_DEEPEST: Final = 64
_TOO_DEEP: Final = f"nested too deeply; at most {_DEEPEST} levels"
_NOBODY: Final = "has no user_id, email or anonymous_id that can name one person"

_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a payload from outside: who sends it, and when."""

    source: str
    received_at: Instant | None
    """None for a file: then an event's own time is its receipt."""
    latest: Instant | None = None
    """No event of a file can be later than this."""
    workspace: str = DEFAULT_WORKSPACE


class Mapped(msgspec.Struct, frozen=True, kw_only=True):
    """What one record became."""

    record: Any
    outcomes: list[Event | Rejection]
    """Empty where no event of the mapping fits the record."""


class _Part(msgspec.Struct, frozen=True):
    """One event of a mapping, ready to be read out of records."""

    path: str
    when: Search | None
    type: EventType
    channel: Channel | None
    name: Search | None
    fields: dict[str, Search]
    groups: dict[str, dict[str, Search]]


class _WrongError(Exception):
    """A record that fits an event of the mapping and cannot be it."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.detail)
        self.rejection = rejection


def _wrong(
    part: _Part,
    field: str,
    detail: object,
    reason: DeadLetterReason = "invalid-event",
) -> _WrongError:
    place = f"{part.path}.{field}" if field else part.path
    return _WrongError(Rejection(reason, f"{place}: {detail}"))


class CompiledMapping:
    """A mapping that can be applied to payloads and rows."""

    def __init__(self, mapping: Mapping) -> None:
        """Prepare every expression of `mapping`."""
        self.mapping = mapping
        self._each = None if mapping.each is None else compile_expression(mapping.each)
        self._share = {
            name: compile_expression(text) for name, text in mapping.share.items()
        }
        self._parts = [
            _compile(part, mapping, f"events[{index}]")
            for index, part in enumerate(mapping.events)
        ]

    def payload(self, payload: Any, delivery: Delivery) -> Iterator[Mapped]:
        """Yield what each record of `payload` becomes, in its order."""
        try:
            records = self._records(payload)
        except ExpressionError as error:
            wrong = Rejection("invalid-event", f"each: {error}")
            yield Mapped(record=payload, outcomes=[wrong])
            return
        for record in records:
            yield Mapped(record=record, outcomes=self.record(record, delivery))

    def _records(self, payload: Any) -> list[Any]:
        found = payload if self._each is None else self._each(payload)
        if found is None:
            return []
        records = found if isinstance(found, list) else [found]
        if not self._share:
            return records
        shared = {name: search(payload) for name, search in self._share.items()}
        return [
            {**record, **shared} if isinstance(record, dict) else record
            for record in records
        ]

    def record(self, record: Any, delivery: Delivery) -> list[Event | Rejection]:
        """Return every event that `record` is, or why one that fits cannot be."""
        outcomes: list[Event | Rejection] = []
        met: dict[str, int] = {}
        for part in self._parts:
            try:
                if part.when is not None and not _true(part.when(record)):
                    continue
                event = self._event(part, record, delivery)
            except ExpressionError as error:
                detail = f"{part.path}: {error}"
                outcomes.append(Rejection("invalid-event", detail))
            except _WrongError as wrong:
                outcomes.append(wrong.rejection)
            else:
                # Two events of one record are two, though the record has one id.
                times = met[event.id] = met.get(event.id, 0) + 1
                if times > 1:
                    renamed = f"{event.id[:240]}:{times}"
                    event = msgspec.structs.replace(event, id=renamed)
                outcomes.append(event)
        return outcomes

    def _event(self, part: _Part, record: Any, delivery: Delivery) -> Event:
        given = {
            name: _read(part, name, search, record)
            for name, search in part.fields.items()
        }
        groups = {name: _group(part, name, record) for name in part.groups}
        name = _called(part, record)
        properties = groups.get("properties", {})
        fields = {
            "id": self._id_of(part, record, delivery),
            **_identifiers(part, given),
            **_times(part, given, delivery),
            **groups,
            "type": part.type,
            "name": name,
            "channel": part.channel or channel_of(part.type, name, properties),
            "source": delivery.source,
            "workspace": delivery.workspace,
        }
        try:
            event = msgspec.convert(fields, Event)
        except (msgspec.ValidationError, ValueError) as error:
            raise _wrong(part, "", error) from None
        if _too_deep(groups):
            raise _wrong(part, "", _TOO_DEEP, "invalid-json")
        return event

    def _id_of(self, part: _Part, record: Any, delivery: Delivery) -> str:
        """Return the id of a record that says none: the same for the same content."""
        digest = hashlib.blake2b(
            _encode(record), digest_size=16, person=b"leadpulse.mapped"
        )
        told = (self.mapping.mapping, part.path, delivery.source)
        digest.update("\x00".join(told).encode())
        return digest.hexdigest()


def _compile(part: EventPart, mapping: Mapping, path: str) -> _Part:
    common: Fields = mapping.common
    missing = mapping.missing
    fields = {}
    for name in (*_SINGLE, *_TIMES):
        found = getattr(part, name)
        found = getattr(common, name) if found is None else found
        if found is not None:
            timed = name in _TIMES
            fields[name] = compile_value(found, missing=missing, time=timed)
    groups = {}
    for group in _GROUPS:
        values = {**getattr(common, group), **getattr(part, group)}
        if values:
            groups[group] = {
                key: compile_value(found, missing=missing)
                for key, found in values.items()
            }
    kind = part.type or common.type or "track"
    return _Part(
        path,
        None if part.when is None else compile_expression(part.when),
        kind,
        part.channel or common.channel,
        _name(part.name or common.name, missing),
        fields,
        groups,
    )


def _name(name: str | Reading | None, missing: list[str]) -> Search | None:
    if name is None:
        return None
    if isinstance(name, str):
        return lambda _: name
    return compile_value(name, missing=missing)


def _read(part: _Part, name: str, search: Search, record: Any) -> Any:
    try:
        return search(record)
    except (UnreadableError, ExpressionError) as error:
        reason: DeadLetterReason = (
            "invalid-timestamp" if name in _TIMES else "invalid-event"
        )
        raise _wrong(part, name, error, reason) from None


def _called(part: _Part, record: Any) -> str:
    """Return the event's name; a track needs one, spelt as the vocabulary does."""
    found = None if part.name is None else _read(part, "name", part.name, record)
    name = "" if found is None else _text(found)[:_LONGEST_NAME]
    if part.type != "track":
        return name
    if not name:
        raise _wrong(part, "name", "finds nothing, and a track needs a name")
    return spell(name)


def _identifiers(part: _Part, given: dict[str, Any]) -> dict[str, str]:
    """Return the event's id, if it is told one, and who it is about."""
    told = {
        key: _text(value)
        for key in _SINGLE
        if (value := given.get(key)) is not None and not isinstance(value, bool)
    }
    fields = {
        key: text
        for key, text in told.items()
        if key == "id" or (is_legal(text) and (key != "email" or "@" in text))
    }
    if not fields.keys() - {"id"}:
        raise _wrong(part, "", _NOBODY, "unroutable")
    if not fields.get("id", "-"):
        raise _wrong(part, "id", "is empty")
    return fields


def _group(part: _Part, group: str, record: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, search in part.groups[group].items():
        value = _read(part, f"{group}.{name}", search, record)
        if value is None:
            continue
        if name != _ALL:
            values[name] = value
        elif (pairs := _pairs(value)) is not None:
            # What is named by itself wins, wherever it stands.
            values = {**pairs, **values}
        else:
            raise _wrong(part, f"{group}.*", "finds no object to take the fields of")
    return values


def _pairs(value: Any) -> dict[str, Any] | None:
    """Return the fields of an object, or of a list of [name, value]."""
    found = value.items() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return None
    fields = {}
    for pair in found:
        match pair:
            case [str(name), (None | "")]:
                continue
            case (str(name), each) | [str(name), each]:
                fields[snake_case(name)] = each
            case _:
                return None
    return fields


def _times(part: _Part, given: dict[str, Any], delivery: Delivery) -> dict[str, Any]:
    moments = {}
    for name in _TIMES:
        value = given.get(name)
        if value is None:
            continue
        try:
            moments[name] = as_moment(value)
        except UnreadableError as error:
            raise _wrong(part, name, error, "invalid-timestamp") from None
        if to_instant(moments[name]) < EARLIEST:
            raise _wrong(part, name, "is before 2000-01-01", "invalid-timestamp")
    received = delivery.received_at
    if received is None:
        if "occurred_at" not in moments:
            raise _wrong(
                part,
                "occurred_at",
                "a row of a file needs its time",
                "invalid-timestamp",
            )
        last = delivery.latest
        if last is not None and to_instant(max(moments.values())) > last:
            raise _wrong(part, "occurred_at", "lies in the future", "invalid-timestamp")
        return moments
    now = to_datetime(received)
    return {
        "occurred_at": min(moments.get("occurred_at", now), now),
        "received_at": now,
    }


def _true(value: Any) -> bool:
    """Say whether JMESPath takes a value for true: 0 is, what is empty is not."""
    return value is not None and value is not False and value not in ("", [], {})


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _too_deep(groups: dict[str, dict[str, Any]]) -> bool:
    level: list[Any] = list(groups.values())
    for _ in range(_DEEPEST):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True
