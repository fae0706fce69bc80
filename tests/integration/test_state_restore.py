"""States from a file in the deployment they are of, which the embedded broker forbids.

It never lets go of a member that left, so positions can only be set by Apache Kafka.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scorers.scorer import read
from streams.cli.main import compose
from streams.errors import UserError
from streams.settings import Settings
from tests.waiting import wait_until
from tests.worker_harness import (
    MODEL,
    WorkerProcess,
    committed,
    fold,
    make_events,
    produce,
    stored_states,
)

pytestmark = pytest.mark.integration

MakeTopics = Callable[..., Settings]
EVENTS = 240


@pytest.fixture
def home(make_topics: MakeTopics, kafka: str) -> Settings:
    return make_topics(bootstrap=kafka, partitions=2, session_seconds=6.0)


@pytest.fixture
def worker(home: Settings, tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(home, tmp_path / "worker.log")
    yield worker
    worker.end()


def run(settings: Settings, *words: str) -> str:
    """Return what `leadpulse state …` says; it raises what a person would read."""
    result = CliRunner().invoke(
        compose(["state"]), ["state", *words], env=settings.environ()
    )
    if result.exception is not None:
        raise result.exception
    return result.output


def score(worker: WorkerProcess, total: int) -> None:
    worker.start()
    wait_until(lambda: committed(worker.settings) == total, 40, "all events")
    assert worker.stop() == 0, worker.tail()


def test_back_in_time_and_on(
    home: Settings, worker: WorkerProcess, tmp_path: Path
) -> None:
    """After a restore, workers read on from the backup and end in the same scores.

    While a worker runs, nothing can be restored.
    """
    file = tmp_path / "states.gz"
    events = make_events(EVENTS, 30)
    produce(home, events[:120])
    worker.start()
    wait_until(lambda: committed(home) == 120, 40, "the first events")
    assert "records in" in run(home, "backup", str(file))
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(UserError, match="stop all of them"):
        run(home, "restore", str(file))
    produce(home, events[120:])
    wait_until(lambda: committed(home) == EVENTS, 40, "all events")
    assert worker.stop() == 0

    assert "start the workers" in run(home, "restore", str(file))
    assert committed(home) == 120
    assert sum(len(state.ids) for state in stored_states(home).values()) == 120
    score(worker, EVENTS)

    found, wanted = stored_states(home), fold(events)
    assert found.keys() == wanted.keys()
    at = max(event.now for event in events)
    for lead_id, state in wanted.items():
        have, want = read(MODEL, found[lead_id], at), read(MODEL, state, at)
        assert set(found[lead_id].ids) == set(state.ids)
        assert abs(have.exact - want.exact) < 1e-9
