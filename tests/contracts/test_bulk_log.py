"""What the worker writes is on its topics once, in its order, whatever fails meanwhile.

The same tests run on the embedded broker and on Apache Kafka. Answers that are lost, or
that say no, are so on their way from a real broker: what was sent has been written.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    KafkaConnectionError,
    NotLeaderForPartitionError,
    RequestTimedOutError,
)
from aiokafka.protocol.produce import ProduceRequest
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient

from schemas.topics import DEAD_LETTERS, EVENT_TOPICS
from streams.bulk_log import BulkLog
from streams.event_log import (
    LARGEST_RECORD,
    MissingTopicsError,
    NotDurableError,
    RecordRefusedError,
)
from streams.producing import Parts
from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.contracts.conftest import PARTITIONS
from tests.worker_harness import read_all

TOPICS = (*EVENT_TOPICS, DEAD_LETTERS)


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[BulkLog]:
    """A log that is closed at the end."""
    opened = BulkLog(settings, name="test", topics=TOPICS)
    yield opened
    await opened.close()


def web(settings: Settings) -> str:
    """The topic that is written to."""
    return settings.topic(EVENT_TOPICS[0].name)


def numbered(settings: Settings, number: int, size: int = 100) -> list[Parts]:
    """So many records for each partition, each saying its place."""
    return [
        (web(settings), b"k", b"%d " % index + b"." * size, (), partition)
        for index in range(number)
        for partition in range(PARTITIONS)
    ]


def kept(settings: Settings) -> dict[int, list[Message]]:
    """What the topic holds, by partition."""
    found: dict[int, list[Message]] = {number: [] for number in range(PARTITIONS)}
    for message in read_all(settings, EVENT_TOPICS[0]):
        found[message.partition() or 0].append(message)
    return found


def numbers(settings: Settings) -> dict[int, list[int]]:
    """The numbers on each partition, in their order."""
    return {
        partition: [int((each.value() or b"").split()[0]) for each in messages]
        for partition, messages in kept(settings).items()
    }


def everywhere(wanted: Iterable[int]) -> dict[int, list[int]]:
    """The same numbers on each partition."""
    return {partition: [*wanted] for partition in range(PARTITIONS)}


Send = Callable[..., Awaitable[Any]]


def meddle(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[int, Any], Any]
) -> list[int]:
    """Let `spoil` have the number and the answer of each write; return the numbers."""
    send: Send = AIOKafkaClient.send
    seen: list[int] = []

    async def meddled(self: AIOKafkaClient, node: int, request: Any, **how: Any) -> Any:
        answer = await send(self, node, request, **how)
        if not isinstance(request, ProduceRequest):
            return answer
        seen.append(len(seen))
        return spoil(seen[-1], answer)

    monkeypatch.setattr(AIOKafkaClient, "send", meddled)
    return seen


async def test_more_than_a_batch_keeps_its_order(
    log: BulkLog, settings: Settings
) -> None:
    """Megabytes for each partition are several batches, one after the other."""
    await log.append(numbered(settings, 1_500, size=1_000))

    assert numbers(settings) == everywhere(range(1_500))


async def test_many_at_once_are_written_in_their_order(
    log: BulkLog, settings: Settings
) -> None:
    """Appends that are asked for together are written as they were asked for."""
    each = [[(web(settings), b"k", b"%d" % n, (), 0)] for n in range(50)]
    await asyncio.gather(*map(log.append, each))

    assert numbers(settings)[0] == list(range(50))


async def test_a_record_is_what_was_given(log: BulkLog, settings: Settings) -> None:
    """Headers of either kind, tombstones, and records without a key."""
    headers = (("ce_type", "x"), ("trace", b"\x00\x01"), ("none", None))
    await log.append(
        [
            (web(settings), b"a", b"full", headers, 1),
            (web(settings), b"a", None, (), 1),
            (web(settings), None, b"nobody's", (), -1),
        ]
    )

    found = kept(settings)
    full, tombstone = found[1][:2]
    assert (full.key(), full.value()) == (b"a", b"full")
    assert full.headers() == [("ce_type", b"x"), ("trace", b"\x00\x01"), ("none", None)]
    assert (tombstone.key(), tombstone.value()) == (b"a", None)
    values = [each.value() for one in found.values() for each in one]
    assert values.count(b"nobody's") == 1


async def test_one_too_large_is_refused(log: BulkLog, settings: Settings) -> None:
    """Nothing of that append is sent, and the next one is written."""
    large = (web(settings), b"k", b"0 " + b"." * LARGEST_RECORD, (), 0)
    with pytest.raises(RecordRefusedError, match="1,000,000 bytes"):
        await log.append([*numbered(settings, 1), large])
    await log.append(numbered(settings, 2))

    assert numbers(settings) == everywhere([0, 1])


async def test_no_topic_is_made_by_writing(settings: Settings) -> None:
    """Without its topics nothing is written, and the answer says what to do."""
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    other = settings.model_copy(update={"topic_prefix": "nobody.made."})
    missing = BulkLog(other, name="test", topics=TOPICS)
    with pytest.raises(MissingTopicsError, match="topics create"):
        await missing.append(numbered(other, 1))
    await missing.close()

    assert web(other) not in admin.list_topics(timeout=10).topics


@pytest.mark.parametrize(
    "error", [KafkaConnectionError, RequestTimedOutError, NotLeaderForPartitionError]
)
async def test_an_answer_that_is_lost(
    log: BulkLog,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    """What was written and is sent again is there once, and what follows behind it."""

    def lose(number: int, answer: Any) -> Any:
        if number in {1, 3}:
            raise error
        return answer

    await log.append(numbered(settings, 1))  # the topic is new: its leader may be, too
    writes = meddle(monkeypatch, lose)
    for first in range(0, 40, 10):
        await log.append(numbered(settings, 40)[first * 4 : (first + 10) * 4])

    assert len(writes) == 4 + 2
    assert numbers(settings) == everywhere([0, *range(40)])


async def test_time_is_over(
    log: BulkLog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer in time: that is said, and the next append is somebody else's."""
    await log.append(numbered(settings, 1))
    before = log._identity
    writes = meddle(monkeypatch, _never)
    with pytest.raises(NotDurableError, match=r"within 0\.5 s"):
        await log.append(numbered(settings, 1), within=0.5)
    assert writes
    monkeypatch.undo()
    await log.append(numbered(settings, 1))

    assert before is not None
    assert log._identity not in {None, before}


def _never(_number: int, _answer: Any) -> Any:
    raise KafkaConnectionError


@pytest.mark.integration
async def test_a_broker_that_lost_count(kafka: str, make_topics: MakeTopics) -> None:
    """Numbers that the broker does not expect end the append, not the log."""
    settings = make_topics(bootstrap=kafka, partitions=PARTITIONS)
    log = BulkLog(settings, name="test", topics=TOPICS)
    await log.append(numbered(settings, 1))
    log._sequences[web(settings), 0] += 7
    with pytest.raises(NotDurableError, match="OutOfOrder"):
        await log.append(numbered(settings, 1))
    await log.append([(web(settings), b"k", b"9", (), 0)])
    await log.close()

    assert numbers(settings)[0] == [0, 9]
