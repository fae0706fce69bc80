"""`leadpulse model publish` and its kin, on a running worker."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from schemas.event import Event
from schemas.model_version import ModelVersion
from schemas.score import ScoreUpdate
from schemas.time import HOUR, MINUTE, SECOND, to_datetime
from schemas.topics import MODEL_VERSIONS, SCORE_UPDATES, SIDE_UPDATES
from scorers.scorer import read
from streams.clock import SystemClock
from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.scorers.test_model_change import DEARER, OLD, WIDER, model_of
from tests.streams.cli.conftest import Run
from tests.waiting import wait_until
from tests.worker_harness import (
    WorkerProcess,
    committed,
    fold,
    produce,
    read_all,
    stored_states,
)

LEADS = 6
LONG = 60.0


@pytest.fixture
def settings(
    make_topics: MakeTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Topics of one test; commands that are run in this process know them, too."""
    model = tmp_path / "model.yaml"
    model.write_text(OLD, "utf-8")
    settings = make_topics(
        partitions=2, session_seconds=1.0, data_dir=tmp_path, model_path=model
    )
    for name, value in settings.environ().items():
        monkeypatch.setenv(name, value)
    return settings


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(settings, tmp_path / "worker.log")
    yield worker
    worker.end()


def views(count: int, *, first: int = 0) -> list[Event]:
    """Views of prices and products in turn, by several people, just now."""
    now = SystemClock().now() - MINUTE
    return [
        Event(
            id=f"v{number}",
            type="page",
            channel="web",
            user_id=f"user-{number % LEADS}",
            properties={"path": "/product" if number % 4 else "/pricing"},
            occurred_at=to_datetime(now + number),
            received_at=to_datetime(now + number),
        )
        for number in range(first, first + count)
    ]


def told(settings: Settings, *, slot: bool = False) -> list[ScoreUpdate]:
    topic = SIDE_UPDATES if slot else SCORE_UPDATES
    return [
        msgspec.json.decode(record.value() or b"", type=ScoreUpdate)
        for record in read_all(settings, topic)
    ]


def all_are_by(settings: Settings, digest: str) -> bool:
    states = stored_states(settings)
    return len(states) == LEADS and {s.model for s in states.values()} == {digest}


def test_a_model_is_changed_while_events_come(
    settings: Settings, worker: WorkerProcess, leadpulse: Run, tmp_path: Path
) -> None:
    """Published, learnt from the past, shadowed, rolled back, and replayed as it was.

    Every step is a person's command; the worker is never restarted in between.
    """
    past = views(48)
    worker.start().wait_ready()
    produce(settings, past)
    wait_until(lambda: committed(settings) == len(past), 40, "the past")

    # Publish: the file's own version comes first, the new one takes over at once.
    wider = tmp_path / "wider.yaml"
    wider.write_text(WIDER, "utf-8")
    ran = leadpulse("model", "publish", wider, "--note", "products count")
    assert ran.code == 0, ran.err
    new = model_of(WIDER)
    assert f"shop 3 ({new.digest}) is published on 2 partitions" in ran.out
    assert "product, unread: 36 of 48 retained events to learn from" in ran.out
    wanted = fold(past, new)
    at = SystemClock().now() + HOUR

    def learnt() -> bool:
        found = stored_states(settings)
        return all(
            found[lead].model == new.digest
            and abs(read(new, found[lead], at).exact - read(new, want, at).exact) < 1e-9
            for lead, want in wanted.items()
        )

    wait_until(learnt, LONG, "every lead to have learnt")
    again = leadpulse("model", "publish", wider)
    assert (again.code, "in force already" in again.out) == (0, True)

    # A shadow runs beside, from what is known, and alerts nobody.
    dearer = tmp_path / "dearer.yaml"
    dearer.write_text(DEARER, "utf-8")
    assert leadpulse("model", "publish", dearer, "--as", "dearer").code == 0
    wait_until(
        lambda: len({u.lead_id for u in told(settings, slot=True)}) == LEADS,
        LONG,
        "the shadow to score every lead",
    )
    assert {u.model.digest for u in told(settings, slot=True)} == {
        model_of(DEARER).digest
    }

    # Roll back: the model before is in force again, and every update says so.
    back = leadpulse("model", "rollback")
    assert back.code == 0, back.err
    old = model_of(OLD)
    wait_until(lambda: all_are_by(settings, old.digest), LONG, "all to be rolled back")
    more = views(24, first=100)
    produce(settings, more)
    wait_until(lambda: committed(settings) == len(past) + len(more), 40, "more events")
    updates = told(settings)
    assert updates[-1].model == old.ref
    assert {u.model.digest for u in updates} == {old.digest, new.digest}

    # The history says it all, and a replay that is given it ends where the worker did.
    assert leadpulse("model", "retire", "dearer").code == 0
    listed = leadpulse("model", "history")
    assert [word in listed.out for word in ("products count", "rolled back", "ended")]
    kept = tmp_path / "versions.ndjson"
    assert leadpulse("model", "history", "--export", kept).code == 0
    events = tmp_path / "events.ndjson"
    events.write_bytes(
        b"\n".join(msgspec.json.encode(event) for event in [*past, *more])
    )
    last = max(u.as_of for u in updates)
    scores = tmp_path / "scores.ndjson"
    ran = leadpulse(
        "replay", events, "--versions", kept, "--scores", scores, "--at", last
    )
    assert ran.code == 0, ran.err
    replayed = {
        line["lead_id"]: line["score"]
        for line in map(json.loads, scores.read_text("utf-8").splitlines())
    }
    states = stored_states(settings)
    for lead_id, state in states.items():
        live = read(old, state, int(last.timestamp() * SECOND)).score
        assert replayed[lead_id] == live, lead_id


def test_a_worker_publishes_a_file_that_is_new(
    settings: Settings, worker: WorkerProcess, leadpulse: Run
) -> None:
    """A changed file comes into force by a restart; an old one does not come back."""
    assert settings.model_path is not None
    worker.start().wait_ready()
    assert worker.stop() == 0
    settings.model_path.write_text(DEARER, "utf-8")
    worker.start().wait_ready()
    assert worker.stop() == 0
    settings.model_path.write_text(OLD, "utf-8")
    worker.start().wait_ready()

    published = [
        msgspec.json.decode(record.value() or b"", type=ModelVersion)
        for record in read_all(settings, MODEL_VERSIONS)
    ]
    digests = [version.model.digest for version in published]
    assert sorted(digests) == sorted(
        [model_of(OLD).digest, model_of(DEARER).digest] * settings.partitions
    )
    assert "model_file_not_in_force" in worker.tail()
    assert model_of(DEARER).digest in leadpulse("model", "history").out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["publish", "absent.yaml"], 1, "cannot read absent.yaml"),
        (["publish", "MODEL", "--as", "No Slot"], 2, "lower-case"),
        (["publish", "MODEL", "--alerts"], 2, "primary always"),
        (["rollback"], 1, "no other version was ever published"),
        (["rollback", "17"], 1, "no version 17 was ever published"),
        (["retire", "shadow"], 1, "nothing runs as shadow"),
        (["retire", "primary"], 1, "nothing runs as primary"),
    ],
)
def test_mistakes_are_told_in_one_line(
    settings: Settings, leadpulse: Run, words: list[str], code: int, message: str
) -> None:
    """What cannot be done is said, and what to do instead; nothing is published."""
    given = [str(settings.model_path) if word == "MODEL" else word for word in words]

    ran = leadpulse("model", *given)

    assert ran.code == code
    assert message in ran.err
    assert read_all(settings, MODEL_VERSIONS) == []
