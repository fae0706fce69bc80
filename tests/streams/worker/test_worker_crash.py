"""Exactly once without transactions, on the embedded broker (see tests/integration)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.settings import Settings
from tests.waiting import wait_until
from tests.worker_harness import (
    WorkerProcess,
    check_exact,
    committed,
    make_events,
    produce,
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


def test_stopped_again_and_again(settings: Settings, worker: WorkerProcess) -> None:
    """A worker that is stopped in good order under load loses and repeats nothing."""
    events = make_events(600, 50)
    done = 0
    for end in (200, 400, 600):
        worker.start().wait_ready()
        produce(settings, events[done:end], rate=1000)
        done = end
        assert worker.stop() == 0

    worker.start()
    wait_until(lambda: committed(settings) == len(events), 40, "all events")
    assert worker.stop() == 0

    check_exact(settings, events)
