"""States in a file and back: after a mistake, in another deployment, or not at all."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from schemas.topics import LEAD_STATE, SCORE_UPDATES
from schemas.workspace import workspace_of
from streams.cli.main import compose
from streams.errors import UserError
from streams.settings import Settings
from tests.waiting import wait_until
from tests.worker_harness import (
    WorkerProcess,
    committed,
    fold,
    make_events,
    produce,
    read_all,
    stored_states,
)

MakeTopics = Callable[..., Settings]
EVENTS = 240


@pytest.fixture
def home(make_topics: MakeTopics) -> Settings:
    return make_topics(partitions=2, session_seconds=1.0)


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


def _refuses_damaged_files(home: Settings, file: Path) -> None:
    before = len(read_all(home, LEAD_STATE))
    lines = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    for number, damaged in enumerate(
        (
            file.read_bytes()[:-30],
            gzip.compress(b"".join(lines[:-1])),
            gzip.compress(b"".join([*lines[:5], *lines[6:]])),
            b"no file of states",
        )
    ):
        broken = file.with_name(f"broken-{number}.gz")
        broken.write_bytes(damaged)
        with pytest.raises(UserError, match=r"damaged|cannot read"):
            run(home, "restore", str(broken))
    assert len(read_all(home, LEAD_STATE)) == before


def test_elsewhere(
    home: Settings, worker: WorkerProcess, make_topics: MakeTopics, tmp_path: Path
) -> None:
    """States go on in another deployment with more partitions; a workspace's alone do.

    What was published last is there for a view; into the topics it is of, a file that
    speaks of other topics does not go by mistake.
    """
    file, alone = tmp_path / "states.gz", tmp_path / "acme.gz"
    events = make_events(EVENTS, 30)
    theirs = [replace(each, workspace="acme") for each in make_events(60, 10, seed=2)]
    produce(home, events[:120] + theirs)
    score(worker, 180)
    run(home, "backup", str(file))
    run(home, "backup", str(alone), "--workspace", "acme")
    assert file.stat().st_mode & 0o077 == 0
    _refuses_damaged_files(home, file)
    there = make_topics(partitions=3, session_seconds=1.0)

    with pytest.raises(UserError, match="elsewhere"):
        run(there, "restore", str(file))
    run(there, "restore", str(file), "--elsewhere")
    assert stored_states(there) == stored_states(home)
    assert len(read_all(there, SCORE_UPDATES)) == len(stored_states(there))
    worker.settings = there
    produce(there, events[120:])
    score(worker, 120)
    found = stored_states(there)
    assert {key: set(state.ids) for key, state in found.items()} == {
        key: set(state.ids) for key, state in fold(events + theirs).items()
    }

    tenant = make_topics(partitions=2, session_seconds=1.0)
    run(tenant, "restore", str(alone), "--elsewhere")
    moved = stored_states(tenant)
    assert moved
    assert {workspace_of(each) for each in moved} == {"acme"}
    assert moved == {k: v for k, v in stored_states(home).items() if k in moved}
    assert "acme" in run(tenant, "check", str(alone))
