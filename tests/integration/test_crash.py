"""Exactly once under faults, on Apache Kafka: kills, rebalances, zombies."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer

from schemas.event import Event
from schemas.topics import EVENT_TOPICS, topic_for
from scorers.identity import derive_lead_id
from streams.settings import Settings
from tests.waiting import wait_until
from tests.worker_harness import (
    WorkerProcess,
    check_exact,
    committed,
    make_events,
    owners,
    produce,
    read_all,
)

pytestmark = pytest.mark.integration

MakeTopics = Callable[..., Settings]
NewWorker = Callable[..., WorkerProcess]

KILLS = 6
RATE = 200
SESSION = 6.0


class Feed:
    """Keeps events coming until it is told to stop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._events = make_events(100_000, 200)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sent: list[Event] = []

    def _run(self) -> None:
        at = 0
        while not self._stop.is_set() and at < len(self._events):
            some = self._events[at : at + RATE // 10]
            started = time.monotonic()
            produce(self._settings, some)
            self.sent += some
            at += len(some)
            self._stop.wait(max(0.0, started + 0.1 - time.monotonic()))

    def start(self) -> "Feed":
        self._thread.start()
        return self

    def stop(self) -> list[Event]:
        self._stop.set()
        self._thread.join(30)
        return self.sent


@pytest.fixture
def settings(make_topics: MakeTopics, kafka: str, tmp_path: Path) -> Settings:
    return make_topics(
        bootstrap=kafka, partitions=4, session_seconds=SESSION, data_dir=tmp_path
    )


@pytest.fixture
def new_worker(settings: Settings, tmp_path: Path) -> Iterator[NewWorker]:
    started: list[WorkerProcess] = []

    def make(name: str, worker_id: str | None = None) -> WorkerProcess:
        given = settings.model_copy(update={"worker_id": worker_id})
        worker = WorkerProcess(given, tmp_path / f"{name}.log")
        started.append(worker)
        return worker.start()

    yield make
    for worker in started:
        worker.end()


def _progress(settings: Settings, beyond: int, *, by: int = RATE) -> int:
    """Return what is committed once it is well beyond what was."""
    return wait_until(
        lambda: (now := committed(settings)) > beyond + by and now,
        60,
        f"more than {beyond + by} committed",
    )


def _taken_over(settings: Settings, before: int) -> None:
    wait_until(lambda: owners(settings) > before, 60, "partitions to move")


def test_killed_again_and_again(settings: Settings, new_worker: NewWorker) -> None:
    """Two workers of which one is killed at a time lose nothing and repeat nothing."""
    workers = [new_worker("a", "a"), new_worker("b", "b")]
    for worker in workers:
        worker.wait_ready(60)
    feed = Feed(settings).start()
    done = _progress(settings, 0)

    for kill in range(KILLS):
        victim = workers[kill % 2]
        taken = owners(settings)
        victim.kill()
        # Alternately at once (its name is taken over) and after others took over.
        if kill % 3 == 2:
            _taken_over(settings, taken)
        victim.start()
        done = _progress(settings, done)

    events = feed.stop()
    assert done < len(events), "everything was done before the last kill"
    wait_until(lambda: committed(settings) == len(events), 60, "all events")
    for worker in workers:
        worker.wait_ready(60)
        assert worker.stop(20) == 0, worker.tail()
    check_exact(settings, events)


def test_scaled_out_and_in(settings: Settings, new_worker: NewWorker) -> None:
    """Workers that come and go under load hand partitions over without a trace."""
    first = new_worker("first")
    first.wait_ready(60)
    feed = Feed(settings).start()
    done = _progress(settings, 0)
    taken = owners(settings)

    second = new_worker("second")
    second.wait_ready(60)
    _taken_over(settings, taken)
    done = _progress(settings, done)
    assert first.stop(20) == 0, first.tail()
    done = _progress(settings, done)
    third = new_worker("third")
    third.wait_ready(60)
    done = _progress(settings, done)
    second.kill()
    done = _progress(settings, done)

    events = feed.stop()
    wait_until(lambda: committed(settings) == len(events), 60, "all events")
    assert third.stop(20) == 0, third.tail()
    check_exact(settings, events)


def test_zombie(settings: Settings, new_worker: NewWorker) -> None:
    """A worker that sleeps past its session and wakes writes nothing that counts."""
    workers = [new_worker("a"), new_worker("b")]
    for worker in workers:
        worker.wait_ready(60)
    feed = Feed(settings).start()
    done = _progress(settings, 0)

    for victim in (*workers, *workers):
        taken = owners(settings)
        victim.send(signal.SIGSTOP)
        _taken_over(settings, taken)
        done = _progress(settings, done)
        victim.send(signal.SIGCONT)
        done = _progress(settings, done)

    events = feed.stop()
    wait_until(lambda: committed(settings) == len(events), 60, "all events")
    for worker in workers:
        assert worker.stop(20) == 0, worker.tail()
    check_exact(settings, events)


def test_transactional_input(settings: Settings, new_worker: NewWorker) -> None:
    """Offsets that transactions keep for themselves do not hold up commits."""
    events = make_events(200, 20)
    producer = Producer(
        {
            "bootstrap.servers": settings.bootstrap,
            "partitioner": "murmur2_random",
            "transactional.id": settings.app_id,
        }
    )
    producer.init_transactions(30)
    for start in range(0, len(events), 3):
        producer.begin_transaction()
        for event in events[start : start + 3]:
            producer.produce(
                settings.topic(topic_for(event).name),
                msgspec.json.encode(event),
                (derive_lead_id(event) or "").encode(),
            )
        producer.commit_transaction(30)
    last: dict[tuple[str | None, int | None], int] = {}
    for topic in EVENT_TOPICS:
        for record in read_all(settings, topic):
            last[record.topic(), record.partition()] = (record.offset() or 0) + 1
    assert sum(last.values()) > len(events), "there are no gaps"

    worker = new_worker("a")
    wait_until(lambda: committed(settings) == sum(last.values()), 60, "all events")
    assert worker.stop(20) == 0
    check_exact(settings, events)
