"""Sinks at work: from a real broker into a server that answers as HubSpot does."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import structlog
from confluent_kafka import Producer, TopicPartition
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from schemas.score import Identifiers, ScoreUpdate
from schemas.topics import SCORE_UPDATES
from scorers.identity import lead_id_of
from streams.cli.sinks import app
from streams.group_offsets import outsider, read_committed
from streams.settings import Settings
from streams.sinks.feed import SinkBusyError
from streams.sinks.files import read_sink
from streams.sinks.language import Sink
from streams.sinks.running import RunningSinks, backfill_sink, reconcile_sink
from tests.conftest import MakeTopics
from tests.contracts.crm.server import Fault
from tests.contracts.crm.vendors import SECRETS, HubSpotServer
from tests.streams.view.records import update
from tests.waiting import wait_until

PARTITIONS = 2


def score_of(name: str, **given: object) -> ScoreUpdate:
    known = Identifiers(email=(f"{name}@example.com",))
    return update(lead_id=lead_id_of("user_id", name), identifiers=known, **given)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """What a command sets up for its process is not for the tests after it."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def crm() -> Iterator[HubSpotServer]:
    server = HubSpotServer()
    yield server
    server.close()


@pytest.fixture
def settings(make_topics: MakeTopics, crm: HubSpotServer, tmp_path: Path) -> Settings:
    """A deployment with one sink."""
    folder = tmp_path / "sinks"
    folder.mkdir()
    (folder / "crm.yaml").write_text(crm.yaml(create=False, timeout="20s"), "utf-8")
    return make_topics(
        partitions=PARTITIONS,
        sinks_dir=folder,
        sink_secrets=SECRETS["hubspot"],
        session_seconds=1.0,
    )


@pytest.fixture
def sink(settings: Settings) -> Sink:
    assert settings.sinks_dir is not None
    return read_sink(settings.sinks_dir / "crm.yaml")


@pytest.fixture
def put(settings: Settings) -> Callable[..., None]:
    """Put updates, or tombstones, on the topic, durably."""
    producer = Producer({"bootstrap.servers": settings.bootstrap, "linger.ms": 0})

    def put(*changes: ScoreUpdate | str) -> None:
        for each in changes:
            gone = isinstance(each, str)
            producer.produce(
                settings.topic(SCORE_UPDATES.name),
                key=lead_id_of("user_id", each) if gone else each.lead_id,
                value=None if gone else msgspec.json.encode(each),
            )
        assert producer.flush(10) == 0

    return put


@contextmanager
def running(settings: Settings, sink: Sink) -> Iterator[RunningSinks]:
    stop = threading.Event()
    with RunningSinks(settings, [sink], stop) as sinks:
        yield sinks


def committed(settings: Settings) -> int:
    """Return how far the sink's group is, all partitions together."""
    consumer = outsider(settings, "sink.crm")
    topic = settings.topic(SCORE_UPDATES.name)
    asked = [TopicPartition(topic, each) for each in range(PARTITIONS)]
    try:
        return sum(
            max(each.offset, 0) for each in read_committed(consumer, asked, within=30)
        )
    finally:
        consumer.close()


def score(crm: HubSpotServer, name: str) -> float | None:
    value = crm.value(f"{name}@example.com", "score")
    return None if value is None else float(value)


def test_scores_reach_the_crm_and_the_erased_leave_it(
    settings: Settings,
    sink: Sink,
    crm: HubSpotServer,
    put: Callable[..., None],
) -> None:
    """The latest wins, an outage is waited out, then an offset is committed."""
    for name in ("ada", "bob", "eve"):
        crm.add(email=f"{name}@example.com")
    crm.faults.extend([Fault(503), Fault(drop=True)])
    put(*(score_of("ada", sequence=n, score=float(n)) for n in range(1, 30)))
    put(score_of("bob", score=50.0), score_of("nobody"), score_of("eve", score=9.0))
    with running(settings, sink):
        wait_until(lambda: score(crm, "ada") == 29, within=20, what="Ada's score")
        wait_until(lambda: score(crm, "bob") == 50 and score(crm, "eve") == 9)
        writes = [each for each in crm.asked if each.path.endswith("batch/update")]
        assert len(writes) < 10, "changes of one lead are gathered"
        wait_until(lambda: committed(settings) == 32, what="the offsets committed")

        crm.faults.extend([Fault(429)] * 10_000)
        put(score_of("bob", sequence=2, score=60.0), "eve")
        labels = {"sink": "crm"}
        wait_until(
            lambda: (
                REGISTRY.get_sample_value("leadpulse_sink_waiting_leads", labels) == 2
            )
        )
        assert committed(settings) < 34, "an offset before what the CRM has not"
        crm.faults.clear()
        wait_until(lambda: score(crm, "bob") == 60, within=20)
        wait_until(lambda: score(crm, "eve") is None, what="the erased to leave")
        wait_until(lambda: committed(settings) == 34)

        with pytest.raises(SinkBusyError, match="stop it first"):
            backfill_sink(settings, sink, threading.Event())


def test_filling_and_checking(
    settings: Settings,
    sink: Sink,
    crm: HubSpotServer,
    put: Callable[..., None],
) -> None:
    """A back-fill writes what differs, once; the report says what differs after it."""
    for name in ("ada", "bob", "eve"):
        crm.add(email=f"{name}@example.com")
    put(score_of("ada", score=10.0), score_of("bob", score=20.0), score_of("nobody"))
    put(score_of("eve", score=5.0), score_of("ada", sequence=2, score=30.0))

    def backfill() -> dict[str, int]:
        told = backfill_sink(settings, sink, threading.Event())
        return {name: count for name, count in told.items() if count}

    assert backfill() == {"written": 3, "unknown": 1}
    assert backfill() == {"same": 3, "unknown": 1}
    assert committed(settings) == 5

    found = next(each for each in crm.records.values() if each["email"].startswith("b"))
    found["lp_score"] = "99"  # by hand, in the CRM
    put("eve")
    lines = {each.lead_id: each for each in reconcile_sink(settings, sink)}
    told = {
        name: lines[lead_id_of("user_id", name)].verdict
        for name in ("ada", "bob", "eve", "nobody")
    }
    assert told == {
        "ada": "same",
        "bob": "differs",
        "eve": "left-over",
        "nobody": "missing",
    }
    assert lines[lead_id_of("user_id", "bob")].fields == ("lp_score",)

    environ = {
        "LEADPULSE_BOOTSTRAP": settings.bootstrap,
        "LEADPULSE_TOPIC_PREFIX": settings.topic_prefix,
        "LEADPULSE_APP_ID": settings.app_id,
        "LEADPULSE_SINKS_DIR": str(settings.sinks_dir),
        "LEADPULSE_SINK_SECRETS": SECRETS["hubspot"],
    }
    shown = CliRunner().invoke(app, ["run", "--dry-run"], env=environ)
    assert shown.exit_code == 0, shown.output
    first = msgspec.json.decode(shown.stdout.splitlines()[0])
    assert first["sink"] == "crm"
    assert len(shown.stdout.splitlines()) == 4
    checked = CliRunner().invoke(app, ["reconcile", "crm"], env=environ)
    assert checked.exit_code == 1
    assert "1 differs" in checked.stdout
    assert "example.com" not in checked.stdout
