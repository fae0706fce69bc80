"""Verification of people whom several identifiers make up, and of faults in them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from schemas.topics import (
    COMMANDS,
    LEAD_STATE,
    NOTIFICATIONS,
    SCORE_UPDATES,
    WEB_EVENTS,
    Topic,
)
from scorers.masses import hash64
from scorers.state import LeadState
from streams.partitioner import partition_of
from streams.settings import Settings
from streams.state_rebuild import rebuild
from streams.state_records import OWNER_KEY
from streams.verify import verify
from tests import worker_bench
from tests.streams.test_verify import (
    Record,
    Written,
    acknowledge,
    changed,
    deployment,
    found,
    of_state,
    write,
)
from tests.streams.worker import test_identity_agent
from tests.streams.worker.test_identity_agent import ADA, BOB, COOKIE, Cluster, seen
from tests.worker_bench import SETTINGS
from tests.worker_harness import MODEL

PARTITIONS = 2
MAIL = "ada@example.com"
LIFE = (
    seen(1, anonymous_id="cookie", name="Demo Requested"),
    seen(2, anonymous_id="cookie", email=MAIL, minute=1),
    seen(3, email=MAIL, name="Form Submitted", minute=2),
    seen(4, anonymous_id="cookie", email=MAIL, user_id="ada", minute=3),
    seen(5, anonymous_id="cookie", minute=4),
    seen(6, anonymous_id="cookie", user_id="bob", minute=6),
    seen(7, anonymous_id="cookie", minute=7),
    seen(8, email=MAIL, minute=8),
    seen(9, user_id="cyn", minute=9),
)
"""Ada is a cookie, an address and a user; Bob uses her computer; Cyn is Cyn."""


@pytest.fixture(scope="module")
def written() -> Written:
    """Everything that a worker of few partitions read and wrote of these lives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_bench, "PARTITIONS", PARTITIONS)
        patch.setattr(test_identity_agent, "PARTITIONS", PARTITIONS)
        return lived()


def lived() -> Written:
    """Let a worker take everything in, one event after the other."""
    cluster: Cluster = test_identity_agent.Cluster()
    records: Written = []

    def note(topic: Topic, key: bytes, value: bytes | None) -> None:
        partition = partition_of(key, PARTITIONS)
        records.append(Record(topic, partition, key, value, []))

    for event in LIFE:
        cluster.put(event)
        ((_, _, raw),) = cluster._queue
        note(WEB_EVENTS, raw.key or b"", raw.value)
        asyncio.run(cluster.run())
    return [*records, *told_by(cluster)]


def told_by(cluster: Cluster) -> Written:
    """Return what a worker wrote."""
    topics = (COMMANDS, LEAD_STATE, SCORE_UPDATES, NOTIFICATIONS)
    return [
        Record(
            topic,
            partition_of(record.key or b"", PARTITIONS),
            record.key or b"",
            record.value,
            [],
        )
        for record in cluster.records
        for topic in topics
        if record.topic == SETTINGS.topic(topic.name) and record.key != OWNER_KEY
    ]


def lived_by_rivals(seed: int) -> Written:
    """Return everything of a worker that heard rival claims in an order by chance."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_bench, "PARTITIONS", PARTITIONS)
        patch.setattr(test_identity_agent, "PARTITIONS", PARTITIONS)
        cluster = asyncio.run(test_identity_agent.rivalry(seed))
    came = [
        Record(
            WEB_EVENTS,
            partition_of(raw.key or b"", PARTITIONS),
            raw.key or b"",
            raw.value,
            [],
        )
        for _, raw in cluster.events
    ]
    return [*came, *told_by(cluster)]


Copy = Callable[[Written], Settings]


@pytest.fixture
def copy(broker: str, tmp_path: Path) -> Copy:
    """Write records into a deployment of their own, all of them acknowledged."""
    return lambda records: write(
        deployment(broker, tmp_path, PARTITIONS), records, SETTINGS.topic_prefix
    )


def of_lead(
    records: Written, lead_id: str, change: Callable[[LeadState], LeadState]
) -> Written:
    """Return the records with the last state of a lead changed."""
    places = [
        place
        for place, record in enumerate(records)
        if record.topic is LEAD_STATE and record.key == lead_id.encode()
    ]
    return changed(records, places[-1], of_state(change))


def forgetful(event: str) -> Callable[[LeadState], LeadState]:
    """Return what lets a state forget that it knows an event."""
    return lambda state: replace(
        state,
        ids={known: at for known, at in state.ids.items() if known != hash64(event)},
    )


def test_people_are_proved_across_partitions(copy: Copy, written: Written) -> None:
    """Every event counts for its person, and each scores what one lead would."""
    report = verify(copy(written), MODEL)

    assert found(report) == []
    assert not report.untold
    assert report.proved["replay"] == 3
    assert report.proved["events"] >= len(LIFE)


def test_what_a_redirect_lost_is_found(copy: Copy, written: Written) -> None:
    """An event under an identifier that is somebody's must be in that person."""
    records = written
    for who, event in ((ADA, "3"), (ADA, "5"), (BOB, "7"), (ADA, "8")):
        records = of_lead(records, who, forgetful(event))
    problems = found(verify(copy(records), MODEL))

    assert set(problems) >= {
        ("events", f"event {event} is not in the state of its person")
        for event in "3578"
    }


def test_what_was_made_up_is_found(copy: Copy, written: Written) -> None:
    """A person who knows, or scores, what nobody did is told."""

    def heavier(state: LeadState) -> LeadState:
        rules = {
            name: replace(kept, mass=kept.mass * 1.01)
            for name, kept in state.rules.items()
        }
        return replace(state, rules=rules)

    records = of_lead(written, BOB, heavier)
    records = of_lead(records, ADA, lambda one: replace(one, ids={**one.ids, 1: 8}))
    report = verify(copy(records), MODEL)

    assert report.against["replay"] == 1
    unheard = ("events", "the state knows 1 events that are on no topic")
    assert unheard in found(report)


def test_what_is_on_its_way_is_no_finding(copy: Copy, written: Written) -> None:
    """While a command is not processed, its people are left untold."""
    settings = copy(of_lead(written, ADA, forgetful("3")))
    cookie = partition_of(COOKIE.encode(), PARTITIONS)
    acknowledge(settings, {(settings.topic(COMMANDS.name), cookie): 0})
    report = verify(settings, MODEL)

    assert found(report) == []
    assert report.untold["replay"] == {"events that are not processed yet": 2}
    assert report.proved["replay"] == 1


@pytest.mark.parametrize("seed", [3, 294])
def test_rivals_are_proved_and_rebuilt(copy: Copy, tmp_path: Path, seed: int) -> None:
    """Whose an event of rivals is was decided once: proof and rebuilding follow it."""
    records = lived_by_rivals(seed)
    settings = copy(records)
    report = verify(settings, MODEL)

    assert found(report) == []
    assert report.proved["replay"] > 1
    assert report.proved["events"] >= 14
    compared = rebuild(settings, MODEL, tmp_path / "anew.gz").comparison
    assert compared.differing == 0, compared.differences


def test_an_event_of_two_rivals_is_found(copy: Copy) -> None:
    """What two of the claimants know is with one of them too much."""
    records = lived_by_rivals(3)
    for who in (ADA, BOB):
        records = of_lead(
            records,
            who,
            lambda one: replace(one, ids={**one.ids, hash64("e6"): one.now * 8}),
        )

    unheard = ("events", "the state knows 1 events that are on no topic")
    assert unheard in found(verify(copy(records), MODEL))
