"""The event log: durable means acknowledged, and nothing else does."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from kafka.partitioner.default import murmur2

from schemas.topics import DEAD_LETTERS, EVENT_TOPICS
from streams.broker import EmbeddedBroker
from streams.bulk_log import BulkLog
from streams.event_log import KafkaEventLog, NotDurableError, Record
from streams.settings import Settings
from streams.topics_admin import create_topics
from tests.conftest import MakeTopics
from tests.freezing import frozen
from tests.streams.collector.conftest import read_records

WEB = "web.events.v1"


Log = KafkaEventLog | BulkLog
Kind = type[KafkaEventLog] | type[BulkLog]

pytestmark = pytest.mark.parametrize("kind", [KafkaEventLog, BulkLog])


@asynccontextmanager
async def opened(kind: Kind, settings: Settings) -> AsyncIterator[Log]:
    topics = (*EVENT_TOPICS, DEAD_LETTERS)
    event_log = kind(settings, name="test", topics=topics)
    try:
        yield event_log
    finally:
        await event_log.close()


def records(settings: Settings, *keys: str) -> list[Record]:
    topic = settings.topic(WEB)
    return [Record(topic, key.encode(), b"{}", []) for key in keys]


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A broker of this test's own, to be stopped and frozen."""
    with EmbeddedBroker(tmp_path / "broker") as broker:
        yield broker
        broker.kill()


async def test_a_key_has_javas_partition(topics: Settings, kind: Kind) -> None:
    """Every key is on the partition on which Java's clients would put it."""
    keys = [f"ld_{number:032x}" for number in range(50)]
    async with opened(kind, topics) as event_log:
        await event_log.append(records(topics, *keys))

    found = {one.key.decode(): one.partition for one in read_records(topics, 50, WEB)}
    assert found == {key: (murmur2(key.encode()) & 0x7FFFFFFF) % 4 for key in keys}


async def test_nothing_to_append(make_topics: MakeTopics, kind: Kind) -> None:
    """An append of nothing needs no broker."""
    async with opened(kind, make_topics(produce_timeout_seconds=0.1)) as event_log:
        await event_log.append([])


async def test_many_appends_at_once(topics: Settings, kind: Kind) -> None:
    """Appends under way at the same time are each told of their own records."""
    async with opened(kind, topics) as event_log:
        await asyncio.gather(
            *(event_log.append(records(topics, *(["k"] * n))) for n in range(1, 40))
        )

    read_records(topics, sum(range(1, 40)), WEB)


async def test_no_broker(make_topics: MakeTopics, kind: Kind) -> None:
    """Without a broker an append fails in bounded time; it never waits for ever."""
    settings = make_topics(produce_timeout_seconds=0.5)
    lost = settings.model_copy(update={"bootstrap": "127.0.0.1:9"})
    started = time.monotonic()
    async with opened(kind, lost) as event_log:
        with pytest.raises(NotDurableError):
            await event_log.append(records(lost, "k"))
        with pytest.raises(NotDurableError):
            await event_log.missing_topics()

    assert time.monotonic() - started < 10


async def test_a_frozen_broker(
    own_broker: EmbeddedBroker, make_topics: MakeTopics, kind: Kind
) -> None:
    """A broker that hangs acknowledges nothing; when it wakes, a repeat succeeds."""
    settings = make_topics(bootstrap=own_broker.bootstrap, produce_timeout_seconds=2)
    assert own_broker.child is not None
    pid = own_broker.child.pid
    assert pid is not None
    async with opened(kind, settings) as event_log:
        await event_log.append(records(settings, "k"))
        with frozen(pid), pytest.raises(NotDurableError):
            await event_log.append(records(settings, "k"))
        await until_durable(event_log, records(settings, "k"))


async def test_a_broker_that_lost_everything(
    own_broker: EmbeddedBroker, make_topics: MakeTopics, kind: Kind
) -> None:
    """A broker that comes back empty is written to again once it has its topics."""
    settings = make_topics(bootstrap=own_broker.bootstrap, produce_timeout_seconds=2)
    async with opened(kind, settings) as event_log:
        for _ in range(3):
            await event_log.append(records(settings, "k", "l"))
        own_broker.kill()
        with pytest.raises(NotDurableError):
            await event_log.append(records(settings, "k"))
        own_broker.start()
        await asyncio.to_thread(create_topics, settings)
        await until_durable(event_log, records(settings, "m"))

    found = {one.key.decode() for one in read_records(settings, None, WEB)}
    assert "m" in found
    assert "l" not in found


async def until_durable(event_log: Log, batch: list[Record]) -> None:
    """Append again, as a client would, until it is acknowledged."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return await event_log.append(batch)
        except NotDurableError:
            if time.monotonic() > deadline:
                raise
