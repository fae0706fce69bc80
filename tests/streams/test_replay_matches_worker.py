"""Replay of a recorded stream gives what the live worker published."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from schemas.alert import Alert
from schemas.event import Event
from schemas.score import ScoreUpdate
from schemas.time import to_instant
from schemas.topics import EVENT_TOPICS, NOTIFICATIONS, SCORE_UPDATES
from scorers.replay import Replay
from scorers.scorer import read
from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.waiting import wait_until
from tests.worker_harness import (
    MODEL,
    WorkerProcess,
    committed,
    make_events,
    produce,
    read_all,
)


@pytest.fixture
def settings(make_topics: MakeTopics, tmp_path: Path) -> Settings:
    return make_topics(partitions=2, session_seconds=1.0, data_dir=tmp_path)


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(settings, tmp_path / "worker.log")
    yield worker
    worker.end()


def test_replay_matches_worker(settings: Settings, worker: WorkerProcess) -> None:
    """Scores and alerts of the recorded topics, folded here, are those of the worker.

    Each lead's last published score is compared at its own instant, bit for bit.
    """
    events = [*make_events(600, 40), *make_events(50, 40)]  # the last are repeated
    worker.start().wait_ready()
    produce(settings, events, rate=2000)
    wait_until(lambda: committed(settings) == len(events), 40, "all events")
    assert worker.stop() == 0

    recorded = [
        msgspec.json.decode(record.value() or b"", type=Event)
        for topic in EVENT_TOPICS
        for record in read_all(settings, topic)
    ]
    assert len(recorded) == len(events)
    updates: dict[str, list[ScoreUpdate]] = defaultdict(list)
    for record in read_all(settings, SCORE_UPDATES):
        update = msgspec.json.decode(record.value() or b"", type=ScoreUpdate)
        updates[update.lead_id].append(update)
    alerts = {
        msgspec.json.decode(record.value() or b"", type=Alert).id
        for record in read_all(settings, NOTIFICATIONS)
    }
    replay, told = Replay(MODEL, wake=False), set()
    for event in sorted(recorded, key=lambda event: event.now):
        for step in replay.take(event):
            told.update(alert.id for alert in step.alerts)

    assert updates.keys() == replay.states.keys()
    for lead_id, state in replay.states.items():
        live = updates[lead_id][-1]
        then = read(MODEL, state, to_instant(live.as_of))
        told_live = (live.score, live.tier, live.grade)
        assert (then.score, then.tier, then.grade) == told_live, lead_id
    assert told == alerts
