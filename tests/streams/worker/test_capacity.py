"""Thresholds that follow the people, in a worker on the embedded broker."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.alert import Alert
from schemas.event import Event
from schemas.model_version import ModelVersion
from schemas.score import ScoreUpdate
from schemas.time import SECOND, to_datetime
from schemas.topics import MODEL_VERSIONS, NOTIFICATIONS, SCORE_UPDATES
from scorers.masses import hash64
from streams.model_log import version_of
from streams.score_follower import LeadScores
from streams.settings import Settings
from tests.scorers.test_model_change import model_of
from tests.streams.worker.test_models import updates, versions, view
from tests.waiting import wait_until
from tests.worker_bench import NOW, Bench, batch, raw
from tests.worker_harness import WorkerProcess, produce, put_raw, read_all

MODEL = """
model: crowded
version: "1"
groups:
  web:
    cap: 100
    rules:
      - {name: up, when: {event: Up}, points: {of: properties.by, per: 1, points: 1,
         min: -100, max: 100}}
alerts:
  - name: hot-lead
    kind: hot
    enter: 40
    leave: 30
    capacity: {leads: 3, hysteresis: 0.34, every: 1s}
  - {name: lead-cooled, kind: cooled, of: hot-lead}
"""

MakeTopics = Callable[..., Settings]


@pytest.fixture
def settings(make_topics: MakeTopics, tmp_path: Path) -> Settings:
    path = tmp_path / "crowded.yaml"
    path.write_text(MODEL, "utf-8")
    return make_topics(
        partitions=2, session_seconds=1.0, data_dir=tmp_path, model_path=path
    )


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(settings, tmp_path / "worker.log")
    yield worker
    worker.end()


class Crowd:
    """Leads whose scores the test says."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sent = 0

    def move(self, **by: int) -> None:
        """Give each lead so many points more."""
        now = self.settings.clock().now()
        events = []
        for user, points in by.items():
            self.sent += 1
            events.append(
                Event(
                    id=f"up-{self.sent}",
                    type="track",
                    channel="web",
                    name="Up",
                    user_id=user,
                    properties={"by": points},
                    occurred_at=to_datetime(now),
                    received_at=to_datetime(now),
                )
            )
        produce(self.settings, events)


def moves(settings: Settings) -> list[float]:
    """Return where the alert has begun so far, one after the other."""
    found = {
        version.id: (version.at, version.thresholds.get("hot-lead", 40.0))
        for message in read_all(settings, MODEL_VERSIONS)
        for version in [msgspec.json.decode(message.value() or b"", type=ModelVersion)]
    }
    return [threshold for _, threshold in sorted(found.values())]


def told(settings: Settings) -> dict[str, Alert]:
    """Return the last alert of each user."""
    found = [
        msgspec.json.decode(message.value() or b"", type=Alert)
        for message in read_all(settings, NOTIFICATIONS)
    ]
    found.sort(key=lambda alert: alert.decided_at)
    return {alert.identifiers.user_id[0]: alert for alert in found}


def scored(settings: Settings) -> dict[str, ScoreUpdate]:
    """Return the last update of each user."""
    found = [
        msgspec.json.decode(message.value() or b"", type=ScoreUpdate)
        for message in read_all(settings, SCORE_UPDATES)
    ]
    found.sort(key=lambda update: update.sequence)
    return {update.identifiers.user_id[0]: update for update in found}


def metric(worker: WorkerProcess, name: str) -> float | None:
    """Return what the worker says of the alert."""
    found = re.search(
        rf'^{name}{{alert="hot-lead",workspace="default"}} (\S+)$',
        worker.get("/metrics")[1],
        re.MULTILINE,
    )
    return None if found is None else float(found[1])


def test_a_flood_raises_the_threshold_and_its_end_lowers_it(
    settings: Settings, worker: WorkerProcess
) -> None:
    """It rises to where three are left, is said by all, survives, and comes back."""
    crowd = Crowd(settings)
    worker.start().wait_ready()
    crowd.move(**{f"u{n}": 40 + 5 * n for n in range(10)})

    wait_until(lambda: moves(settings)[-1:] == [70.1], 60, "the threshold to rise")
    in_force = "leadpulse_alert_threshold"
    wait_until(lambda: metric(worker, in_force) == 70.1, 60, "the metric to say so")
    assert metric(worker, "leadpulse_leads_above_threshold") == 3
    assert metric(worker, "leadpulse_alert_capacity") == 3
    # Those who are below what ends the alert now have cooled.
    wait_until(
        lambda: told(settings)["u0"].kind == "cooled", 60, "the first to be cooled"
    )

    worker.kill()
    worker.start().wait_ready()
    wait_until(lambda: metric(worker, in_force) == 70.1, 60, "it to hold on")

    # Two who are worth something else: one below, and one above.
    crowd.move(late=60, new=90)
    wait_until(lambda: "new" in told(settings), 60, "the alert")
    alert = told(settings)["new"]
    assert alert.threshold >= 70.1
    assert alert.model.thresholds == {"hot-lead": alert.threshold}
    assert alert.note.startswith(f"hot-lead begins at {alert.threshold} points now")
    wait_until(lambda: "late" in scored(settings), 60, "the other one's score")
    assert "late" not in told(settings)
    assert scored(settings)["late"].model.thresholds

    crowd.move(**{f"u{n}": -40 - 5 * n for n in range(10)}, late=-30)
    wait_until(lambda: moves(settings)[-1] == 40.0, 60, "the threshold to come back")
    went = moves(settings)
    top = went.index(max(went))
    assert went[: top + 1] == sorted(went[: top + 1]), "up, and nothing but up"
    assert went[top:] == sorted(went[top:], reverse=True), "down, and nothing but down"
    assert worker.stop() == 0


def test_nobody_reads_where_no_model_asks(
    make_topics: MakeTopics, tmp_path: Path
) -> None:
    """Without a capacity in the model there is no threshold to be told."""
    settings = make_topics(partitions=2, session_seconds=1.0, data_dir=tmp_path)
    worker = WorkerProcess(settings, tmp_path / "worker.log").start()
    try:
        worker.wait_ready()
        Crowd(settings).move(u1=50)
        wait_until(lambda: read_all(settings, SCORE_UPDATES), 60, "an update")
        assert metric(worker, "leadpulse_alert_threshold") is None
        assert worker.stop() == 0
    finally:
        worker.end()


def test_what_is_no_update_is_passed_over(
    settings: Settings, worker: WorkerProcess
) -> None:
    """Rubbish on the topic of updates stops nobody."""
    put_raw(settings, SCORE_UPDATES, b"{", key=b"x")
    worker.start().wait_ready()
    Crowd(settings).move(**{f"u{n}": 50 + n for n in range(5)})

    wait_until(lambda: moves(settings)[-1:] == [51.1], 60, "the threshold to rise")
    assert worker.stop() == 0


# ── parts of it, without a broker ───────────────────────────────────────────────


def update(lead: str, sequence: int, score: float) -> tuple[bytes, bytes]:
    """Return the key and the value of an update."""
    value = {"lead_id": lead, "sequence": sequence, "score": score, "tier": "none"}
    return lead.encode(), msgspec.json.encode(value)


def test_the_latest_score_of_each_lead_counts() -> None:
    """Repeated and stale updates change nothing; who is gone counts no more."""
    scores = LeadScores(10)
    for key, value in [
        update("a", 1, 50.0),
        update("a", 3, 70.2),
        update("a", 2, 60.0),
        update("a", 3, 70.2),
        update("b", 1, 100.0),
        update("c", 1, 99.9),
    ]:
        scores.take(key, value)
    scores.take(b"c", None)
    scores.take(b"nobody", None)
    scores.take(None, b"{")
    scores.take(b"d", b"{")

    assert list(scores.counted.counted()) == [(702, 1), (1000, 1)]
    assert hash64("a") != hash64("b")


OLD = """
model: shop
version: "1"
groups:
  web:
    cap: 40
    rules:
      - {name: pricing, points: 8, when: {type: page, properties.path: /pricing}}
alerts: [{name: hot-lead, kind: hot, enter: 16, leave: 12}]
"""


def moved(to: float, at: int, **given: Any) -> ModelVersion:
    """Return the model with its threshold elsewhere, as it is published."""
    return version_of(
        model_of(OLD), "", now=at - SECOND, at=at, thresholds={"hot-lead": to}, **given
    )


@pytest.mark.parametrize(
    ("views", "to", "woken"),
    [
        (1, 24.0, 0),  # 8 points: nothing to do with 12 (leave) or above
        (2, 24.0, 1),  # 16: hot till now
        (1, 8.0, 1),  # would be hot from now on
        (1, 12.0, 0),  # … but 8 is below its leave of 9 as well
    ],
)
async def test_only_who_came_up_to_a_threshold_is_woken_for_its_move(
    views: int, to: float, woken: int
) -> None:
    """A move wakes those whom it can concern; the others learn it by and by."""
    bench = Bench(model=model_of(OLD))
    await bench.process(batch(*[raw(n, view(n)) for n in range(views)]))
    await bench.process(versions(moved(to, NOW + SECOND)))
    bench.clock.at = NOW + SECOND

    assert await bench.wakeups.tick(lambda _: True) == woken


async def test_who_was_not_woken_passes_through_it_later() -> None:
    """The next event finds the threshold that was in force when it happened."""
    bench = Bench(model=model_of(OLD))
    await bench.process(batch(raw(0, view(1))))
    await bench.process(versions(moved(24.0, NOW + SECOND)))
    await bench.process(batch(raw(1, view(2, NOW + 2 * SECOND))))

    assert [u.model.thresholds for u in updates(bench)] == [{}, {"hot-lead": 24.0}]
    assert bench.log.on("notifications.v1") == []


async def test_thresholds_of_no_alert_are_set_aside() -> None:
    """A version that moves what is not there is a dead letter; the old one stays."""
    bench = Bench(model=model_of(OLD))
    broken = msgspec.structs.replace(moved(24.0, NOW), thresholds={"hto": 1.0})
    await bench.process(versions(broken), batch(raw(0, view(1))))

    (letter,) = bench.log.on("dead-letters.v1")
    assert b"no hot alert" in dict(letter.headers)["dl_detail"]
