"""A running collector, and what it put on the topics."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
import uvicorn
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from schemas.event import Event
from schemas.topics import EVENT_TOPICS
from streams.broker import EmbeddedBroker
from streams.collector.fetching import Get, get_https
from streams.collector.server import bind, create_server
from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.waiting import wait_until
from tests.worker_harness import read_all

KEYS = "website=wk-1,app=wk-2"


@contextmanager
def running(
    settings: Settings, get: Get = get_https
) -> Iterator[tuple[httpx.Client, uvicorn.Server]]:
    """Run a real collector in a thread; gives a client of it, and the server."""
    listener = bind(settings)
    server = create_server(settings, get)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    wait_until(lambda: server.started, what="the collector to listen")
    port = listener.getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield client, server
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def settings(make_topics: MakeTopics) -> Settings:
    """Settings of a collector with topics of its own on the embedded broker."""
    return make_topics(write_keys=KEYS, collector_port=0)


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    """A client of a running collector; sends no key by itself."""
    with running(settings) as (client, _):
        yield client


def arrived(settings: Settings, count: int) -> list[Event]:
    """Return the events on the topics once there are `count`, by their names."""
    found: list[Event] = []

    def enough() -> bool:
        found[:] = [
            msgspec.json.decode(record.value() or b"", type=Event)
            for topic in EVENT_TOPICS
            for record in read_all(settings, topic)
        ]
        return len(found) >= count

    wait_until(enough, within=30, what=f"{count} events")
    assert len(found) == count
    return sorted(found, key=lambda event: (event.type, event.name))


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A broker of one test's own, to be stopped, frozen and killed."""
    with EmbeddedBroker(tmp_path / "broker") as broker:
        yield broker
        broker.kill()


Read = Callable[..., list[ConsumerRecord]]


@pytest.fixture
def read(settings: Settings) -> Read:
    """Read topics from the beginning with kafka-python: ``read(4, "web.events.v1")``.

    Waits for `count` records, sorted by offset within a partition; and nothing more
    may have come.
    """

    def read_topics(count: int, *names: str) -> list[ConsumerRecord]:
        return read_records(settings, count, *names)

    return read_topics


def read_records(
    settings: Settings, count: int | None, *names: str
) -> list[ConsumerRecord]:
    """Return exactly `count` records of the topics; None for any but none."""
    consumer = KafkaConsumer(bootstrap_servers=settings.bootstrap)
    try:
        partitions = [
            TopicPartition(topic, partition)
            for topic in map(settings.topic, names)
            for partition in consumer.partitions_for_topic(topic) or ()
        ]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        records: list[ConsumerRecord] = []

        def enough() -> bool:
            for batch in consumer.poll(timeout_ms=100).values():
                records.extend(batch)
            return len(records) >= (1 if count is None else count)

        wait_until(enough, within=20, what=f"{count} of {names}")
        for batch in consumer.poll(timeout_ms=100).values():
            records.extend(batch)
    finally:
        consumer.close()
    if count is not None:
        assert len(records) == count, f"{len(records)} records, not {count}"
    return records
