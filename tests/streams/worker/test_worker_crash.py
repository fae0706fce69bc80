"""Exactly once without transactions, on the embedded broker (see tests/integration)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from prometheus_client import REGISTRY

from schemas.topics import DEAD_LETTERS, WEB_EVENTS
from streams.doctor import _endings
from streams.settings import Settings
from streams.worker_endings import count_endings
from tests.waiting import wait_until
from tests.worker_harness import (
    WorkerProcess,
    check_exact,
    committed,
    make_events,
    produce,
    read_all,
)

MakeTopics = Callable[..., Settings]


@pytest.fixture
def settings(make_topics: MakeTopics, tmp_path: Path) -> Settings:
    return make_topics(partitions=2, session_seconds=1.0, data_dir=tmp_path)


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(settings, tmp_path / "worker.log")
    yield worker
    worker.end()


def test_killed_half_way(settings: Settings, worker: WorkerProcess) -> None:
    """A worker that is killed half way and started again ends in the same scores."""
    events = make_events(400, 50)
    worker.start().wait_ready()
    produce(settings, events[:200], rate=1000)
    wait_until(lambda: committed(settings) > 0, 20, "the first commit")
    worker.kill()
    produce(settings, events[200:])
    assert committed(settings) < len(events), "it was done before it was killed"

    worker.start()
    wait_until(lambda: committed(settings) == len(events), 40, "all events")
    assert worker.stop() == 0

    check_exact(settings, events)


def test_stopped_half_way(settings: Settings, worker: WorkerProcess) -> None:
    """SIGTERM under load ends the worker with 0 in seconds; nothing is lost by it."""
    events = make_events(400, 50)
    worker.start().wait_ready()
    produce(settings, events[:200], rate=2000)
    assert worker.stop() == 0
    produce(settings, events[200:])

    worker.start()
    wait_until(lambda: committed(settings) == len(events), 40, "all events")
    assert worker.stop() == 0

    check_exact(settings, events)


def test_a_broken_deploy_stops_the_line(
    settings: Settings, worker: WorkerProcess
) -> None:
    """Mostly unreadable records end the worker with 1 and one line that says why.

    That it did outlives it: for an alert, and for the doctor.
    """
    producer = Producer({"bootstrap.servers": settings.bootstrap})
    for _ in range(300):
        producer.produce(settings.topic(WEB_EVENTS.name), b"{", b"k", 0)
    assert producer.flush(10) == 0

    assert worker.start().wait() == 1

    last = worker.tail().splitlines()[-1]
    assert last.startswith("leadpulse: ")
    assert "LEADPULSE_DEAD_LETTER_RATIO=1" in last
    assert committed(settings) == 0
    assert read_all(settings, DEAD_LETTERS) == []
    # The next start tells the metrics, and the doctor tells people.
    count_endings(settings)
    labels = {"reason": "dead-letters"}
    assert REGISTRY.get_sample_value("leadpulse_worker_endings_total", labels) == 1
    (found,) = _endings(settings)
    assert (found.verdict, found.subject) == ("warn", "workers")
    assert "the line was stopped" in found.text


def test_missing_topics_are_named(settings: Settings, worker: WorkerProcess) -> None:
    """A worker without its topics says which and what to do; it makes none."""
    bare = settings.model_copy(update={"topic_prefix": "nothing-here."})
    worker.settings = bare

    assert worker.start().wait() == 1

    last = worker.tail().splitlines()[-1]
    assert "nothing-here.web.events.v1" in last
    assert "leadpulse topics create" in last
