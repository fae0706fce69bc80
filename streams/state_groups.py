"""How far the workers' group is, told and set from outside while nobody is in it."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from schemas.topics import ACCOUNT_MEMBERS, COMMANDS, EVENT_TOPICS, Topic
from streams.errors import UserError
from streams.group_offsets import outsider, read_committed

if TYPE_CHECKING:
    from streams.settings import Settings

SOURCES: Final = (*EVENT_TOPICS, COMMANDS, ACCOUNT_MEMBERS)
"""What states are made of."""
_GROUP: Final = "scoring"
_SECONDS: Final = 15.0
_MARK_SECONDS: Final = 5.0
_GONE_SECONDS: Final = 2.0
_AGAIN_SECONDS: Final = 0.5


class WorkersRunningError(UserError):
    """Workers are in the group, so its positions are theirs to set."""


def positions_of(
    settings: "Settings", topics: Iterable[Topic], partitions: int
) -> dict[tuple[str, int], int]:
    """Return how far the workers have acknowledged each partition of `topics`.

    By the topics' names as they are on the broker; 0 where nothing is acknowledged.

    Raises
    ------
    UserError
        When no broker answers.
    """
    from confluent_kafka import KafkaException, TopicPartition  # noqa: PLC0415 - heavy

    consumer = outsider(settings, _GROUP)
    asked = [
        TopicPartition(settings.topic(topic.name), partition)
        for topic in topics
        for partition in range(partitions)
    ]
    try:
        found = read_committed(consumer, asked, within=_SECONDS)
    except KafkaException as error:
        msg = f"the workers' positions are unknown: {error.args[0].str()}"
        raise UserError(msg) from None
    finally:
        consumer.close()
    return {(each.topic, each.partition): max(0, each.offset) for each in found}


def committed_by_topic(settings: "Settings", partitions: int) -> dict[str, list[int]]:
    """Return how far the workers have acknowledged each source, by base name.

    Raises
    ------
    UserError
        When no broker answers.
    """
    known = positions_of(settings, SOURCES, partitions)
    return {
        topic.name: [
            known[settings.topic(topic.name), each] for each in range(partitions)
        ]
        for topic in SOURCES
    }


def marks_of(
    settings: "Settings", positions: Mapping[str, Sequence[int]]
) -> dict[str, list[int]]:
    """Return when the record before each position was written, by base name.

    It tells logs apart, for two of them hardly have a record of the same millisecond
    at the same place. It is -1 where there is none, or none any more.

    Raises
    ------
    UserError
        When no broker answers.
    """
    from confluent_kafka import KafkaException, TopicPartition  # noqa: PLC0415 - heavy

    marks = {topic: [-1] * len(offsets) for topic, offsets in positions.items()}
    consumer = outsider(settings, _GROUP)
    try:
        for topic, offsets in positions.items():
            for partition, offset in enumerate(offsets):
                if offset == 0:
                    continue
                name = settings.topic(topic)
                consumer.assign([TopicPartition(name, partition, offset - 1)])
                record = consumer.poll(_MARK_SECONDS)
                if record is None or record.error() is not None:
                    continue
                if record.offset() == offset - 1:
                    marks[topic][partition] = record.timestamp()[1]
    except KafkaException as error:
        msg = f"the topics cannot be read: {error.args[0].str()}"
        raise UserError(msg) from None
    finally:
        consumer.close()
    return marks


def set_committed(settings: "Settings", positions: Mapping[str, Sequence[int]]) -> None:
    """Let workers that start later read on from `positions`.

    Raises
    ------
    WorkersRunningError
        When a worker is in the group, or the broker refuses for another reason.
    """
    from confluent_kafka import KafkaException, TopicPartition  # noqa: PLC0415 - heavy

    offsets = [
        TopicPartition(settings.topic(name), partition, offset)
        for name, offsets in positions.items()
        for partition, offset in enumerate(offsets)
    ]
    consumer = outsider(settings, _GROUP)
    # A worker that was killed is a member until its session is over.
    until = time.monotonic() + settings.session_seconds + _GONE_SECONDS
    try:
        while True:
            try:
                # Who is no member may commit only for a group that has none.
                consumer.commit(offsets=offsets, asynchronous=False)
            except KafkaException as error:
                if time.monotonic() > until:
                    why = error.args[0].str()
                    msg = f"workers' positions cannot be set: stop all of them ({why})"
                    raise WorkersRunningError(msg) from None
                time.sleep(_AGAIN_SECONDS)
            else:
                return
    finally:
        consumer.close()
