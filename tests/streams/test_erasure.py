"""A person is erased from a running system, exported before, and never known again."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.topics import AUDIT, DEAD_LETTERS, SUPPRESSIONS
from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.erasure_harness import (
    BOB,
    COOKIE,
    LEADS,
    MAIL,
    USER,
    fed,
    in_redis,
    in_topics,
    is_kept_by_rule,
    leave_letters,
    lives,
    tombstones,
    wait_for_people,
    wait_until_gone,
)
from tests.streams.cli.conftest import Run, leadpulse  # noqa: F401 - a fixture
from tests.waiting import wait_until
from tests.worker_harness import (
    WorkerProcess,
    committed,
    produce,
    read_all,
    stored_with_redirects,
)


@pytest.fixture
def settings(
    make_topics: MakeTopics,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    settings = make_topics(
        partitions=2,
        session_seconds=1.0,
        data_dir=tmp_path,
        redis_url=redis_url,
        privacy_key="a long secret",
    )
    for name, value in settings.environ().items():
        monkeypatch.setenv(name, value)
    return settings


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(settings, tmp_path / "worker.log")
    yield worker.start()
    worker.end()


def test_export_erase_and_never_again(
    settings: Settings,
    worker: WorkerProcess,
    leadpulse: Run,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    """What is held is told; then it is gone; then nothing brings it back."""
    worker.wait_ready()
    leave_letters(settings)
    produce(settings, lives())
    with fed(settings) as view:
        wait_for_people(view)

        told = leadpulse("export", MAIL, "--out", tmp_path / "ada.json")
        assert told.code == 0, told.err
        held = json.loads((tmp_path / "ada.json").read_text("utf-8"))
        assert set(held["lead_ids"]) >= set(LEADS)
        assert held["identifiers"] == {
            "email": [MAIL],
            "user_id": [USER],
            "anonymous_id": [COOKIE],
        }
        assert len(held["events"]) == 5
        assert len(held["dead_letters"]) == 1
        assert held["leads"][0]["traits"]["name"]["value"] == "Ada"
        assert {one["name"] for one in held["accounts"]} == {"analytical.example"}
        assert "bob" not in json.dumps(held)

        done = leadpulse("erase", MAIL, "--yes", "--by", "dpo")
        # The embedded broker cannot delete records before their time, and that is told.
        assert (done.code, "dead letters not taken out" in done.err) == (1, True)
        assert "erased       1 leads" in done.out
        for name in (MAIL, USER, COOKIE):
            assert name not in done.out
        wait_until(
            lambda: tombstones(settings) >= {lead.encode() for lead in LEADS},
            20,
            "every identity to be erased",
        )
        wait_until_gone(lambda: in_redis(settings), 20, "left in Redis")
        wait_until_gone(
            lambda: in_topics(settings, only=is_kept_by_rule), 20, "left on topics"
        )
        assert view.lead(BOB) is not None
        assert len(read_all(settings, DEAD_LETTERS)) == 2  # none was doubled
        assert read_all(settings, AUDIT)
        assert read_all(settings, SUPPRESSIONS)

        # The same events again, and new ones; then the worker begins anew.
        events = [*lives(), *lives(first=100)]
        before = committed(settings)
        produce(settings, events)
        wait_until(
            lambda: committed(settings) >= before + len(events), 20, "all to be read"
        )
        worker.kill()
        worker.start().wait_ready()
        view.drop()
        produce(settings, lives(first=200))
        wait_until(lambda: view.lead(BOB) is not None, 30, "a new view")

    assert set(stored_with_redirects(settings)) == {BOB}
    assert in_topics(settings, only=is_kept_by_rule) == []
    assert in_redis(settings) == []
    nothing = leadpulse("leads", "show", MAIL)
    assert nothing.code == 1
    assert "no lead is known" in nothing.err
    assert not any(name in worker.tail() for name in (MAIL, USER, COOKIE))


def test_erasing_needs_a_key(
    settings: Settings,
    leadpulse: Run,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a key nobody could be kept away: it says what to set."""
    monkeypatch.delenv("LEADPULSE_PRIVACY_KEY")
    ran = leadpulse("erase", MAIL, "--yes")

    assert ran.code != 0
    assert "LEADPULSE_PRIVACY_KEY" in ran.err
    assert read_all(settings, SUPPRESSIONS) == []


def test_a_worker_with_another_key_does_not_start(
    settings: Settings,
    leadpulse: Run,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    """Who was erased would be known again by whoever has another key."""
    assert leadpulse("erase", MAIL, "--yes", "--wait", 0).code == 0
    other = Settings.model_validate({**settings.model_dump(), "privacy_key": "other"})
    worker = WorkerProcess(other, tmp_path / "other.log").start()
    try:
        assert worker.wait(30) != 0
        assert "this one is another" in worker.tail()
        assert "Traceback" not in worker.tail()
    finally:
        worker.end()
