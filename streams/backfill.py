"""Backfill: rules that are new take in the events of the past that are retained.

Only events that a new rule asks for are sent, each as a command to its lead. A
command names where its event is retained, so it does not matter how often it is sent:
a backfill that was interrupted is simply run again.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from schemas.command import Learn
from schemas.event import Event
from schemas.model_version import ModelVersion
from schemas.time import to_instant
from schemas.topics import EVENT_TOPICS
from scorers.backfill import Questions, answers
from scorers.compiled import CompiledModel
from scorers.identity import derive_lead_id
from streams import codec
from streams.event_log import EventLog
from streams.topic_reader import read_topic

if TYPE_CHECKING:
    from streams.settings import Settings

_BATCH: Final = 500
_decode: Final = msgspec.json.Decoder(Event).decode


class Taught(NamedTuple):
    """What a backfill came to."""

    read: int = 0
    sent: int = 0


async def backfill(
    settings: "Settings",
    log: EventLog,
    version: ModelVersion,
    asked: tuple[CompiledModel, Questions],
    partitions: int,
    *,
    report: Callable[[Taught], None] = lambda _: None,
) -> Taught:
    """Return what was read and sent when every retained event was offered.

    Events received after `version` came into force are left out: the new rules have
    seen them. So it must be in force already when this is called.

    Raises
    ------
    UnreadableTopicError
        When an event topic is missing or no broker answers.
    NotDurableError
        When Kafka did not take something; run it again.
    """
    done, batch = Taught(), []
    for found in _lessons(settings, version, asked):
        done = Taught(done.read + 1, done.sent + (found is not None))
        if found is not None:
            batch.append(codec.command_record(settings, found, partitions))
        if len(batch) >= _BATCH:
            await log.append(batch)
            batch = []
        if done.read % _BATCH == 0:
            report(done)
    await log.append(batch)
    report(done)
    return done


def _lessons(
    settings: "Settings", version: ModelVersion, asked: tuple[CompiledModel, Questions]
) -> Iterator[Learn | None]:
    """Yield a command for each retained event, None where nobody asks for it."""
    model, questions = asked
    in_force = to_instant(version.at)
    for topic in EVENT_TOPICS:
        for message in read_topic(settings, settings.topic(topic.name)):
            try:
                event = _decode(message.value() or b"")
            except msgspec.DecodeError:
                yield None  # it is among the dead letters
                continue
            answer = answers(model, questions, event)
            lead_id = derive_lead_id(event)
            if event.workspace != version.workspace or event.now >= in_force:
                yield None
                continue
            if not answer or lead_id is None:
                yield None
                continue
            yield Learn(
                lead_id=lead_id,
                event=event,
                rules=tuple(sorted(answer.rules)),
                traits=tuple(sorted(answer.traits)),
                slot=version.slot,
                backfill=version.id,
                topic=f"{topic.name}/{message.partition()}",
                offset=message.offset() or 0,
                at=version.at,
            )
