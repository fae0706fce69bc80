"""Workers that stand by for each other: who is killed is missed for a session only."""

from collections.abc import Callable
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

pytestmark = pytest.mark.integration
MakeTopics = Callable[..., Settings]


@pytest.fixture
def settings(make_topics: MakeTopics, kafka: str) -> Settings:
    return make_topics(
        bootstrap=kafka,
        partitions=2,
        session_seconds=6.0,
        snapshot_seconds=0.0,
        standby_replicas=1,
    )


def test_a_killed_workers_partitions_go_to_who_stood_by(
    settings: Settings, tmp_path: Path
) -> None:
    """All three tables go on from the copies, and every event counts once."""
    events = make_events(400, 40)
    workers = [
        WorkerProcess(
            settings.model_copy(update={"worker_id": name}), tmp_path / f"{name}.log"
        )
        for name in ("a", "b")
    ]
    one, other = workers
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.wait_ready()
        produce(settings, events[:300])
        wait_until(lambda: committed(settings) == 300, 40, "the first events")
        for worker in workers:
            wait_until(
                lambda worker=worker: (
                    worker.figure("leadpulse_standby_partitions") == 1
                ),
                40,
                "each to stand by for the other",
            )
        wait_until(
            lambda: other.figure("leadpulse_standby_lag_records") == 0, 40, "no lag"
        )
        one.kill()
        produce(settings, events[300:])
        wait_until(lambda: committed(settings) == 400, 60, "the last events")
        assert other.figure('leadpulse_standbys_total{result="used"}') == 3
        assert other.figure("leadpulse_standby_partitions") == 0
        assert other.stop() == 0
    finally:
        for worker in workers:
            worker.end()
    check_exact(settings, events)
