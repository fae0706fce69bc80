"""Bytes at the edge: records become schemas or a reason to set them aside.

Nothing here raises for bad input: what cannot be read is a value, too.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from schemas import cloudevents
from schemas.account import (
    AccountCommand,
    AccountScore,
    AccountWakeup,
    MemberUpdate,
)
from schemas.alert import Alert
from schemas.command import (
    Absorb,
    Command,
    Erase,
    Forward,
    Learn,
    Link,
    Release,
    Retract,
    Wakeup,
)
from schemas.dead_letter import DeadLetterReason
from schemas.event import Event
from schemas.model_version import ModelVersion
from schemas.privacy import Suppression
from schemas.score import ScoreUpdate
from schemas.topics import (
    ACCOUNT_MEMBERS,
    ACCOUNT_SCORES,
    COMMANDS,
    EVENT_TOPICS,
    MODEL_VERSIONS,
    NOTIFICATIONS,
    SCORE_UPDATES,
    SIDE_UPDATES,
    SUPPRESSIONS,
)
from streams.event_log import Record
from streams.outgoing import Output
from streams.partitioner import partition_of
from streams.tracing import HEADER_TRACEPARENT

if TYPE_CHECKING:
    from streams.settings import Settings

Headers = Sequence[tuple[str, bytes]]

MAX_VALUE_BYTES: Final = 256 * 1024
"""A larger record is not read: one event must not fill a lead's whole memory."""

MAX_COMMAND_BYTES: Final = 1_000_000
"""What leads tell each other may be a lead's whole state; brokers take no more."""

_SOURCE: Final = "/worker"


class Refusal(msgspec.Struct, frozen=True):
    """Why a record cannot be processed."""

    reason: DeadLetterReason
    detail: str


Message = Event | Command | AccountCommand | ModelVersion | Suppression
"""What the worker's topics hold."""

_event: Final = msgspec.json.Decoder(Event).decode
_decoders: Final[dict[str, Callable[[bytes], Message]]] = {
    **{topic.name: _event for topic in EVENT_TOPICS},
    COMMANDS.name: msgspec.json.Decoder(Command).decode,
    ACCOUNT_MEMBERS.name: msgspec.json.Decoder(AccountCommand).decode,
    MODEL_VERSIONS.name: msgspec.json.Decoder(ModelVersion).decode,
    SUPPRESSIONS.name: msgspec.json.Decoder(Suppression).decode,
}
_encode: Final = msgspec.json.Encoder().encode
_EVENT_TOPICS: Final = frozenset(topic.name for topic in EVENT_TOPICS)


def decode(topic: str, value: bytes | None) -> Message | Refusal:
    """Return what a record of `topic` (base name) holds, or why it cannot be told."""
    is_event = topic in _EVENT_TOPICS
    invalid: DeadLetterReason = "invalid-event" if is_event else "invalid-command"
    if value is None:
        return Refusal(invalid, "the record has no value")
    most = MAX_COMMAND_BYTES if topic == COMMANDS.name else MAX_VALUE_BYTES
    if len(value) > most:
        return Refusal("too-large", f"{len(value)} bytes, {most} at most")
    try:
        message: Message = _decoders[topic](value)
    except msgspec.ValidationError as error:
        return Refusal(invalid, str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Refusal("invalid-json", str(error))
    return message


def traceparent(headers: Headers) -> tuple[tuple[str, bytes], ...]:
    """Return the headers that tie an output to the trace of its cause."""
    if not headers:
        return ()
    return tuple([pair for pair in headers if pair[0] == HEADER_TRACEPARENT])


def update_output(update: ScoreUpdate, trace: Headers) -> Output:
    """Return a score update as it goes on its topic."""
    return Output(
        SCORE_UPDATES.name,
        _encode(update),
        _named(
            cloudevents.SCORE_UPDATE,
            f"{update.lead_id}:{update.sequence}",
            update.as_of,
            trace,
        ),
    )


def side_output(update: ScoreUpdate, slot: str, trace: Headers) -> Output:
    """Return an update of a model beside the primary as it goes on its topic."""
    return Output(
        SIDE_UPDATES.name,
        _encode(update),
        _named(
            cloudevents.SCORE_UPDATE,
            f"{slot}:{update.lead_id}:{update.sequence}",
            update.as_of,
            trace,
        ),
        update.lead_id,
    )


def alert_output(alert: Alert, trace: Headers, key: str = "") -> Output:
    """Return an alert as it goes on its topic."""
    return Output(
        NOTIFICATIONS.name,
        _encode(alert),
        _named(cloudevents.ALERT, alert.id, alert.decided_at, trace),
        key,
    )


def command_record(settings: "Settings", command: Command, partitions: int) -> Record:
    """Return what somebody beside the workers tells a lead, on the lead's partition."""
    output = command_output(command, ())
    key = command.lead_id.encode()
    return Record(
        settings.topic(output.topic),
        key,
        output.value,
        [*output.headers],
        partition_of(key, partitions),
    )


def command_output(command: Command, trace: Headers) -> Output:
    """Return what a lead tells another one as it goes to that lead."""
    match command:
        case Forward():
            told, at = command.event.id, command.event.occurred_at
        case Retract():
            told, at = ",".join(command.event_ids[:1]), command.at
        case Learn():
            told = f"{command.backfill}:{command.topic}:{command.offset}"
            at = command.at
        case Link():
            told, at = f"{command.lead_id}:{command.to}", command.since
        case Absorb():
            told, at = f"{command.absorbed}:{command.lead_id}", command.at
        case Release():
            told, at = f"{command.released}:{command.lead_id}", command.since
        case Erase():
            told, at = f"{command.lead_id}:{len(command.person)}", command.at
        case Wakeup():
            told, at = f"{command.lead_id}:{command.at.isoformat()}", command.at
    kind = str(command.__struct_config__.tag)
    return Output(
        COMMANDS.name,
        _encode(command),
        _named(cloudevents.COMMAND, f"{kind}:{told}", at, trace),
        command.lead_id,
    )


def member_output(member: MemberUpdate, trace: Headers) -> Output:
    """Return what a lead tells its account as it goes to that account."""
    return Output(
        ACCOUNT_MEMBERS.name,
        _encode(member),
        _named(
            cloudevents.ACCOUNT_COMMAND,
            f"{member.lead_id}:{member.sequence}",
            member.as_of,
            trace,
        ),
        member.account_id,
    )


def account_output(score: AccountScore, trace: Headers) -> Output:
    """Return an account's score as it goes on its topic."""
    return Output(
        ACCOUNT_SCORES.name,
        _encode(score),
        _named(
            cloudevents.ACCOUNT_SCORE,
            f"{score.account_id}:{score.sequence}",
            score.as_of,
            trace,
        ),
    )


def account_wakeup_output(wakeup: AccountWakeup) -> Output:
    """Return an account's wake-up as it goes on the topic of the members."""
    return Output(
        ACCOUNT_MEMBERS.name,
        _encode(wakeup),
        _named(
            cloudevents.ACCOUNT_COMMAND,
            f"wakeup:{wakeup.account_id}:{wakeup.at.isoformat()}",
            wakeup.at,
            (),
        ),
    )


def _named(
    kind: str, event_id: str, time: datetime, trace: Headers
) -> tuple[tuple[str, bytes], ...]:
    named = cloudevents.headers(type=kind, source=_SOURCE, id=event_id, time=time)
    return (*named, *trace)
