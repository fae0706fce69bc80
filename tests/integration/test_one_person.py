"""Leads that become one on Apache Kafka, while workers are killed at any moment."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition
from msgspec.structs import replace

from schemas.command import Absorb, Command, Forward, Link
from schemas.event import Event
from schemas.time import MINUTE
from schemas.topics import COMMANDS, DEAD_LETTERS, EVENT_TOPICS, LEAD_STATE
from scorers.masses import hash64
from scorers.scorer import read
from streams.settings import Settings
from streams.state_rebuild import rebuild
from streams.verify import verify
from tests.people import make_visits, one_lead_each
from tests.waiting import wait_until
from tests.worker_harness import (
    MODEL,
    WorkerProcess,
    check_updates,
    committed,
    make_events,
    produce,
    read_all,
    stored_states,
    stored_with_redirects,
)

pytestmark = pytest.mark.integration

MakeTopics = Callable[..., Settings]

PEOPLE = 150
VISITS = 3_000
KILLS = 10


@pytest.fixture
def settings(make_topics: MakeTopics, kafka: str, tmp_path: Path) -> Settings:
    return make_topics(
        bootstrap=kafka, partitions=4, session_seconds=6.0, data_dir=tmp_path
    )


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[list[WorkerProcess]]:
    started = [
        WorkerProcess(
            settings.model_copy(update={"worker_id": name}), tmp_path / f"{name}.log"
        ).start()
        for name in ("a", "b")
    ]
    for worker in started:
        worker.wait_ready(60)
    yield started
    for worker in started:
        worker.end()


def told(settings: Settings) -> list[Command]:
    return [
        msgspec.json.decode(each.value() or b"", type=Command)
        for each in read_all(settings, COMMANDS)
    ]


def has_written(settings: Settings, records: int) -> bool:
    return written(settings) >= records


def written(settings: Settings) -> int:
    """Return how often states changed and leads told each other something."""
    ends = 0
    with closing(
        Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "watcher"})
    ) as consumer:
        for topic in (LEAD_STATE, COMMANDS):
            for partition in range(settings.partitions):
                place = TopicPartition(settings.topic(topic.name), partition)
                _, end = consumer.get_watermark_offsets(place, timeout=10)
                ends += end
    return ends


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_between_link_absorb_and_redirect(
    settings: Settings, workers: list[WorkerProcess], seed: int
) -> None:
    """Two workers of which one is killed at a time make every person one lead.

    Each knows exactly the person's events, on whichever partition they arrived, and
    scores what one lead with all of them scores; every lead's updates are gapless.
    """
    chance = random.Random(seed)
    events = list(make_visits(VISITS, PEOPLE, anonymous=0.6, seed=seed))
    expected = one_lead_each(events)
    share = len(events) // KILLS
    for kill in range(KILLS):
        begun = written(settings)
        produce(settings, events[kill * share : (kill + 1) * share])
        # In the midst of it: after so many changes of states and words between leads.
        enough = begun + chance.randrange(1, share // 4)
        wait_until(partial(has_written, settings, enough), 60, f"{enough} records")
        victim = workers[chance.randrange(2)]
        victim.kill()
        victim.start()
        if chance.random() < 0.5:
            victim.wait_ready(60)
    produce(settings, events[KILLS * share :])

    def settled() -> bool:
        found = stored_states(settings)
        return found.keys() == expected.keys() and all(
            found[lead_id].ids == state.ids for lead_id, state in expected.items()
        )

    try:
        wait_until(settled, 120, "every person to be one lead")
    finally:
        for worker in workers:
            worker.wait_ready(60)
            assert worker.stop(20) == 0, worker.tail()
    found = stored_states(settings)
    at = time.time_ns() // 1_000_000 + MINUTE
    for lead_id, state in expected.items():
        want, have = read(MODEL, state, at), read(MODEL, found[lead_id], at)
        assert abs(want.exact - have.exact) < 1e-9, lead_id
        assert want.score == have.score
    check_updates(settings, stored_with_redirects(settings))
    commands = told(settings)
    for kind in (Link, Absorb, Forward):
        assert any(isinstance(each, kind) for each in commands)
    assert read_all(settings, DEAD_LETTERS) == []
    report = verify(settings, MODEL)
    assert report.findings == []
    assert report.proved["replay"] == PEOPLE


def rivals(count: int, seed: int) -> list[Event]:
    """Return events of twenty addresses, each claimed by three user ids in turn."""
    chance = random.Random(seed)
    found = []
    for given in make_events(count, 1, seed=seed):
        number = chance.randrange(20)
        mail = f"house-{number}@example.com"
        shown = chance.choice(
            (
                *({"email": mail, "user_id": f"{number}-{who}"} for who in "abc"),
                *[{"email": mail}] * 3,
                {"anonymous_id": f"cookie-{number}"},
                {"anonymous_id": f"cookie-{number}", "email": mail},
            )
        )
        nobody: dict[str, str | None] = {"user_id": None}
        found.append(replace(given, **{**nobody, **shown}))
    return found


def test_rival_claims_on_two_workers(
    settings: Settings, workers: list[WorkerProcess], tmp_path: Path
) -> None:
    """Claims that cross between partitions and over kills: all agree on whose it is.

    No event is lost or two people's; proof and rebuilding come to the live states.
    """
    events = rivals(600, seed=5)
    for number, start in enumerate(range(0, len(events), 200)):
        produce(settings, events[start : start + 200])
        victim = workers[number % 2]
        victim.kill()
        victim.start()
        victim.wait_ready(60)
    sources = (*EVENT_TOPICS, COMMANDS)

    def rested() -> bool:
        done = committed(settings, sources)  # first: what is told later is not done
        return done == sum(len(read_all(settings, topic)) for topic in sources)

    wait_until(rested, 60, "the workers to come to rest")
    for worker in workers:
        assert worker.stop(20) == 0, worker.tail()
    counted = [each for state in stored_states(settings).values() for each in state.ids]
    assert sorted(counted) == sorted(hash64(each.id) for each in events)
    report = verify(settings, MODEL)
    assert report.findings == []
    assert report.proved["replay"] > 40
    anew = rebuild(settings, MODEL, tmp_path / "anew.gz").comparison
    assert anew.differing == 0, anew.differences
