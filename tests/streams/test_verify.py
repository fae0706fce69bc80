"""Verification of what a real worker wrote, as it is and with faults planted in it."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from msgspec.structs import replace
from typer.testing import CliRunner

from schemas.alert import Alert
from schemas.event import Event
from schemas.score import ScoreUpdate
from schemas.topics import (
    COMMANDS,
    DEAD_LETTERS,
    EVENT_TOPICS,
    LEAD_STATE,
    NOTIFICATIONS,
    SCORE_UPDATES,
    WEB_EVENTS,
    Topic,
)
from scorers.state import LeadState, decode_state, encode_state
from streams.cli.main import compose
from streams.proof import Report, Subject
from streams.settings import Settings
from streams.state_records import OWNER_KEY, Stored
from streams.topics_admin import create_topics
from streams.verify import verify
from tests.waiting import wait_until
from tests.worker_harness import (
    MODEL,
    WorkerProcess,
    committed,
    make_events,
    produce,
    put_raw,
    read_all,
)

COPIED = (
    *EVENT_TOPICS,
    COMMANDS,
    LEAD_STATE,
    SCORE_UPDATES,
    NOTIFICATIONS,
    DEAD_LETTERS,
)


class Record(NamedTuple):
    topic: Topic
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


Written = list[Record]


def deployment(broker: str, data_dir: Path, partitions: int = 2) -> Settings:
    unique = f"t{uuid.uuid4().hex[:8]}"
    settings = Settings.model_validate(
        {
            "bootstrap": broker,
            "partitions": partitions,
            "topic_prefix": f"{unique}.",
            "app_id": unique,
            "metrics_port": 0,
            "session_seconds": 1.0,
            "data_dir": data_dir,
        }
    )
    create_topics(settings)
    return settings


def write(settings: Settings, records: Written, origin: str) -> Settings:
    """Write records of a deployment with prefix `origin`, all of them acknowledged."""
    old, new = origin.encode(), settings.topic_prefix.encode()
    group = {"bootstrap.servers": settings.bootstrap}
    producer = Producer(group)
    ends: dict[tuple[str, int], int] = {}
    for topic, partition, key, value, headers in records:
        name = settings.topic(topic.name)
        moved = [(each, told.replace(old, new)) for each, told in headers]
        producer.produce(name, value, key, partition, headers=moved)
        ends[name, partition] = ends.get((name, partition), 0) + 1
    assert producer.flush(30) == 0
    sources = {settings.topic(each.name) for each in (*EVENT_TOPICS, COMMANDS)}
    acknowledge(
        settings, {place: end for place, end in ends.items() if place[0] in sources}
    )
    return settings


def acknowledge(settings: Settings, ends: dict[tuple[str, int], int]) -> None:
    """Let the workers' group have processed everything before `ends`."""
    group = f"{settings.app_id}.scoring"
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": group})
    offsets = [TopicPartition(*place, end) for place, end in ends.items()]
    consumer.commit(offsets=offsets, asynchronous=False)
    consumer.close()


def promising() -> list[Event]:
    """What makes two of the leads hot: who they are, their budget, their stage."""
    plain = make_events(8, 1, seed=3)
    traits = {"employees": 80, "title": "VP Sales", "industry": "software"}
    facts: list[dict[str, Any]] = [
        {"type": "identify", "name": "", "channel": "crm", "traits": traits},
        {"name": "Budget Stated", "properties": {"amount": 90_000, "currency": "EUR"}},
        {"name": "Stage Changed", "properties": {"stage": "decision"}},
        {"name": "Demo Requested", "channel": "web"},
    ]
    return [
        replace(event, user_id=f"user-{number % 2}", **{"channel": "crm", **fact})
        for number, event in enumerate(plain)
        for fact in (facts[number // 2],)
    ]


@pytest.fixture(scope="module")
def live(
    broker: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Settings, WorkerProcess]]:
    """A worker that has done its work and runs on."""
    folder = tmp_path_factory.mktemp("verify")
    settings = deployment(broker, folder)
    events = [*make_events(300, 20), *promising()]
    worker = WorkerProcess(settings, folder / "worker.log")
    try:
        worker.start().wait_ready()
        produce(settings, [*events, *events[:20]])  # some come twice
        put_raw(settings, WEB_EVENTS, b"{poison", key=b"poison")
        stray = make_events(1, 1, seed=2)[0]
        for partition in range(2):  # on one of them it is not at home
            value = msgspec.json.encode(replace(stray, id=f"stray-{partition}"))
            put_raw(settings, WEB_EVENTS, value, key=b"stray", partition=partition)
        wait_until(lambda: committed(settings) == len(events) + 23, 40, "all events")
        wait_until(lambda: committed(settings, [COMMANDS]) >= 1, 40, "the forwarded")
        yield settings, worker
    finally:
        worker.end()


@pytest.fixture(scope="module")
def written(live: tuple[Settings, WorkerProcess]) -> Written:
    """Every record of that deployment, in order within a partition."""
    settings, _ = live
    return [
        Record(
            topic,
            message.partition() or 0,
            message.key(),
            message.value(),
            [(name, value or b"") for name, value in message.headers() or ()],
        )
        for topic in COPIED
        for message in read_all(settings, topic)
    ]


Copy = Callable[[Written], Settings]


@pytest.fixture
def copy(broker: str, tmp_path: Path, live: tuple[Settings, WorkerProcess]) -> Copy:
    """Write records into a deployment of their own, all of them acknowledged."""
    return lambda records: write(
        deployment(broker, tmp_path), records, live[0].topic_prefix
    )


def found(report: Report) -> list[tuple[Subject, str]]:
    return [(each.subject, each.problem) for each in report.findings]


def last_of(records: Written, topic: Topic) -> int:
    """Return the place of a topic's last record that is no owner's."""
    return max(
        place
        for place, record in enumerate(records)
        if record.topic is topic and record.key != OWNER_KEY
    )


def changed(
    records: Written, place: int, change: Callable[[bytes], bytes | None]
) -> Written:
    """Return the records with the value of one changed; None leaves it out."""
    record = records[place]
    assert record.value is not None
    value = change(record.value)
    new = [] if value is None else [record._replace(value=value)]
    return [*records[:place], *new, *records[place + 1 :]]


def of_update(**fields: object) -> Callable[[bytes], bytes]:
    def change(value: bytes) -> bytes:
        update = msgspec.json.decode(value, type=ScoreUpdate)
        return msgspec.json.encode(replace(update, **fields))

    return change


def of_state(change: Callable[[LeadState], LeadState]) -> Callable[[bytes], bytes]:
    def changed_record(value: bytes) -> bytes:
        stored = msgspec.msgpack.decode(value, type=Stored)
        state = encode_state(change(decode_state(stored.state)))
        return msgspec.msgpack.encode(replace(stored, state=state))

    return changed_record


def test_a_live_system_is_proved(live: tuple[Settings, WorkerProcess]) -> None:
    """Beside a worker everything is proved: repeats, poison and strays included."""
    report = verify(live[0], MODEL)

    assert found(report) == []
    assert not report.untold
    assert report.proved["events"] == 308 + 20 + 3 + report_forwards(live[0])
    assert report.proved["replay"] == report.leads == 20
    assert report.proved["states"] == 20
    assert report.proved["alerts"] > 0
    assert report.proved["ledgers"] == report.proved["sequences"] > 20


def report_forwards(settings: Settings) -> int:
    """Return how many forwarded events there are; each is an event once more."""
    return sum(b'"forward"' in (m.value() or b"") for m in read_all(settings, COMMANDS))


def test_a_copy_is_proved(copy: Copy, written: Written) -> None:
    """Topics prove the same without anybody who works on them."""
    report = verify(copy(written), MODEL)

    assert found(report) == []
    assert report.proved["replay"] == 20


@pytest.mark.parametrize(
    ("change", "subject", "problem"),
    [
        pytest.param(
            of_update(ledger={"web": {"pricing-page": 1.0}}),
            "ledgers",
            "the ledger sums to 1.000000",
            id="ledger",
        ),
        pytest.param(
            of_update(ledger={}, score=0.0, delta=1.0), "sequences", "delta", id="delta"
        ),
        pytest.param(
            of_update(tier="platinum"), "sequences", "not platinum", id="tier"
        ),
        pytest.param(of_update(previous=99.0), "sequences", "says 99", id="previous"),
        pytest.param(
            of_update(sequence=900), "sequences", "update 900 follows", id="gap"
        ),
        pytest.param(lambda _: None, "states", "the topic at", id="lost-update"),
    ],
)
def test_wrong_updates_are_found(
    copy: Copy,
    written: Written,
    change: Callable[[bytes], bytes | None],
    subject: Subject,
    problem: str,
) -> None:
    """What is wrong with a lead's last update is told with its place."""
    place = last_of(written, SCORE_UPDATES)
    records = [
        # An outbox would say that the update may still come.
        record._replace(value=without_outbox(record.value))
        if record.topic is LEAD_STATE and record.key != OWNER_KEY
        else record
        for record in written
    ]
    report = verify(copy(changed(records, place, change)), MODEL)

    assert any(
        each.subject == subject
        and problem in each.problem
        and each.lead_id.encode() == written[place].key
        and "]@" in each.place
        for each in report.findings
    ), found(report)


def without_outbox(value: bytes | None) -> bytes:
    stored = msgspec.msgpack.decode(value or b"", type=Stored)
    return msgspec.msgpack.encode(replace(stored, outbox=()))


def test_a_gap_in_the_middle_is_found(copy: Copy, written: Written) -> None:
    """An update that never came is told at the one behind it."""
    key = written[last_of(written, SCORE_UPDATES)].key
    of_lead = [
        place
        for place, record in enumerate(written)
        if record.topic is SCORE_UPDATES and record.key == key
    ]
    report = verify(copy(changed(written, of_lead[2], lambda _: None)), MODEL)

    assert ("sequences", "update 4 follows 2") in found(report)


def test_an_update_in_the_outbox_is_no_finding(copy: Copy, written: Written) -> None:
    """What a worker that died has not sent yet is its successor's to send."""
    place = last_in_an_outbox(written)
    report = verify(copy(changed(written, place, lambda _: None)), MODEL)

    assert found(report) == []
    assert report.untold["states"].total() == 1


def last_in_an_outbox(records: Written) -> int:
    """Return the place of a last update that its lead's last state still carries.

    A state that was written again after its update was sent carries none: whether one
    was depends on when the worker's timers looked.
    """
    carried = {
        output.value
        for record in {
            record.key: record
            for record in records
            if record.topic is LEAD_STATE and record.key != OWNER_KEY and record.value
        }.values()
        for output in msgspec.msgpack.decode(record.value or b"", type=Stored).outbox
        if output.topic == SCORE_UPDATES.name
    }
    last = {
        record.key: place
        for place, record in enumerate(records)
        if record.topic is SCORE_UPDATES
    }
    return next(place for place in last.values() if records[place].value in carried)


def test_repetitions_must_be_the_same_bytes(copy: Copy, written: Written) -> None:
    """An update or an alert may come again word for word, and in no other words."""
    update = written[last_of(written, SCORE_UPDATES)]
    alert = written[last_of(written, NOTIFICATIONS)]
    assert found(verify(copy([*written, update, alert]), MODEL)) == []

    other = msgspec.json.decode(alert.value or b"", type=Alert)
    told = [
        update._replace(value=of_update(owner="someone")(update.value or b"")),
        alert._replace(value=msgspec.json.encode(replace(other, owner="someone"))),
        alert._replace(value=msgspec.json.encode(replace(other, id="al_0"))),
    ]
    problems = found(verify(copy([*written, *told]), MODEL))

    assert [subject for subject, _ in problems] == ["alerts", "alerts", "sequences"]
    assert "other bytes" in problems[0][1]
    assert "again" in problems[1][1]
    assert "other bytes" in problems[2][1]


def test_an_alert_says_what_its_update_says(copy: Copy, written: Written) -> None:
    """An alert with another score than the update of its instant is told."""

    def change(value: bytes) -> bytes:
        alert = msgspec.json.decode(value, type=Alert)
        return msgspec.json.encode(replace(alert, score=alert.score + 1))

    place = last_of(written, NOTIFICATIONS)
    problems = found(verify(copy(changed(written, place, change)), MODEL))

    assert [subject for subject, _ in problems] == ["alerts"]
    assert "the update of that instant" in problems[0][1]


def test_a_state_that_disagrees_is_found(copy: Copy, written: Written) -> None:
    """A state with a score that was never published is told twice over."""
    place = last_of(written, LEAD_STATE)
    change = of_state(lambda state: replace(state, score=state.score + 1))
    problems = found(verify(copy(changed(written, place, change)), MODEL))

    assert [subject for subject, _ in problems] == ["states", "states"]


def test_a_state_that_counts_otherwise_is_found(copy: Copy, written: Written) -> None:
    """A state whose masses are not those of its events differs from the replay."""

    def doubled(state: LeadState) -> LeadState:
        rules = {
            name: replace(kept, mass=kept.mass * 1.01)
            for name, kept in state.rules.items()
        }
        return replace(state, rules=rules)

    place = last_of(written, LEAD_STATE)
    report = verify(copy(changed(written, place, of_state(doubled))), MODEL)

    assert report.against["replay"] == 1


def test_a_lost_event_is_found(copy: Copy, written: Written) -> None:
    """An event that its lead's state does not know is told with its place."""

    def forgetful(state: LeadState) -> LeadState:
        first = next(iter(state.ids))
        ids = {known: at for known, at in state.ids.items() if known != first}
        return replace(state, ids=ids)

    place = last_of(written, LEAD_STATE)
    report = verify(copy(changed(written, place, of_state(forgetful))), MODEL)

    lost = {each.place.partition("[")[0] for each in report.findings}
    assert all(subject == "events" for subject, _ in found(report))
    assert all("is not in the lead's state" in each for _, each in found(report))
    assert any(name.endswith(".events.v1") for name in lost)


def test_a_made_up_event_is_found(copy: Copy, written: Written) -> None:
    """A state that knows an event which is on no topic is told."""
    change = of_state(lambda state: replace(state, ids={**state.ids, 1: 8}))
    place = last_of(written, LEAD_STATE)
    problems = found(verify(copy(changed(written, place, change)), MODEL))

    assert problems == [("events", "the state knows 1 events that are on no topic")]


def test_poison_without_a_dead_letter_is_found(copy: Copy, written: Written) -> None:
    """What could not be scored must have been set aside."""
    records = [record for record in written if record.topic is not DEAD_LETTERS]
    problems = found(verify(copy(records), MODEL))

    assert [subject for subject, _ in problems] == ["events"]
    assert problems[0][1].startswith("is in no dead letter")


def test_the_command_tells(copy: Copy, written: Written) -> None:
    """It leaves with 0 and a table, or with 1 and the findings, as JSON if asked."""
    good, place = copy(written), last_of(written, SCORE_UPDATES)
    bad = copy(changed(written, place, of_update(ledger={"web": {"x": 1.0}})))
    command = compose(["verify"])

    clean = CliRunner().invoke(command, ["verify"], env=good.environ())
    assert clean.exit_code == 0, clean.output
    assert "every update's ledger sums to its score" in clean.output
    assert "not looked at: accounts" in clean.output
    dirty = CliRunner().invoke(command, ["verify", "--json"], env=bad.environ())
    assert dirty.exit_code == 1, dirty.output
    told = json.loads(dirty.stdout)
    assert told["promises"]["ledgers"]["against"] >= 1
    assert told["findings"][0]["subject"] == "ledgers"
