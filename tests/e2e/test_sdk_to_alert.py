"""From an unchanged SDK to what ordinary consumers read, through every role."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer
from kafka import KafkaConsumer
from segment.analytics import Client

from scorers.identity import lead_id_of
from streams.settings import load_settings
from streams.supervisor import Stack
from tests.shared_data import shared_lines
from tests.streams.collector.test_recordings import replayed
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

SECONDS = 30
TRAITS = {
    "email": "ada@initech.example",
    "employees": 50,
    "annual_revenue": 20_000_000,
    "industry": "technology",
    "budget": 100_000,
    "lifecycle_stage": "decision",
}
RECORDED = ("segment_python", "segment_python_gzip", "segment_node", "segment_browser")


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Every role on the embedded broker, with the key that the SDKs were given."""
    settings = load_settings(
        {},
        data_dir=tmp_path_factory.mktemp("stack"),
        collector_port=0,
        metrics_port=0,
        partitions=2,
        write_keys="website=test_write_key",
    )
    with Stack(settings) as stack:
        yield stack


Message = dict[str, Any]


def by_kafka_python(bootstrap: str, stop: threading.Event) -> Iterator[Message]:
    consumer = KafkaConsumer(
        "lead.score-updates.v1",
        "notifications.v1",
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
    )
    try:
        while not stop.is_set():
            for records in consumer.poll(timeout_ms=200).values():
                yield from (json.loads(record.value) for record in records)
    finally:
        consumer.close()


def by_confluent_kafka(bootstrap: str, stop: threading.Event) -> Iterator[Message]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "crm",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe(["lead.score-updates.v1", "notifications.v1"])
    try:
        while not stop.is_set():
            record = consumer.poll(0.2)
            if record is not None and record.error() is None:
                yield json.loads(record.value() or b"null")
    finally:
        consumer.close()


def collect(
    read: Callable[[str, threading.Event], Iterator[Message]],
    bootstrap: str,
    stop: threading.Event,
    into: list[Message],
) -> threading.Thread:
    """Read in a thread until `stop`; return the thread."""
    thread = threading.Thread(target=lambda: into.extend(read(bootstrap, stop)))
    # `extend` takes what it is given one by one: the list grows while it is read.
    thread.start()
    return thread


def test_a_hot_lead_is_heard_of_by_every_client(stack: Stack) -> None:
    """The SDK's calls make a lead hot; two kinds of consumer read score and alert."""
    stop = threading.Event()
    heard: dict[str, list[Message]] = {"kafka-python": [], "confluent-kafka": []}
    readers = [
        collect(by_kafka_python, stack.bootstrap, stop, heard["kafka-python"]),
        collect(by_confluent_kafka, stack.bootstrap, stop, heard["confluent-kafka"]),
    ]
    failures: list[object] = []
    sdk = Client(
        stack.write_key,
        host=stack.collector_url,
        on_error=lambda error, items: failures.append((error, items)),
    )
    try:
        sdk.identify("ada", TRAITS)
        sdk.page("ada", None, "Pricing", {"path": "/pricing"})
        for asset in range(3):
            downloaded = {"asset_id": f"a{asset}", "asset_type": "ebook"}
            sdk.track("ada", "Content Downloaded", downloaded)
        sdk.track("ada", "Demo Requested")
        sdk.shutdown()

        for client, messages in heard.items():
            wait_until(
                lambda messages=messages: any(
                    message.get("kind") == "hot" for message in messages
                ),
                SECONDS,
                f"the hot alert at {client}",
            )
            wait_until(
                lambda messages=messages: any(
                    "kind" not in message and message["score"] >= 60
                    for message in messages
                ),
                SECONDS,
                f"the score at {client}",
            )
    finally:
        stop.set()
        for reader in readers:
            reader.join(20)

    assert not failures
    for messages in heard.values():
        (alert,) = [each for each in messages if each.get("kind") == "hot"]
        assert alert["lead_id"] == lead_id_of("user_id", "ada")
        assert alert["reasons"]


def test_recorded_requests_end_in_scores_or_dead_letters(stack: Stack) -> None:
    """Every event that an SDK once sent is scored, a duplicate or a dead letter."""
    accepted = rejected = 0
    with httpx.Client(base_url=stack.collector_url, timeout=30) as client:
        for sdk in RECORDED:
            for recorded in shared_lines("trackers", "sdk_http", f"{sdk}.ndjson"):
                answer = replayed(client, recorded)
                assert answer.status_code == 200, (sdk, recorded["seq"], answer.text)
                if recorded["method"] != "OPTIONS":
                    accepted += answer.json()["accepted"]
                    rejected += len(answer.json()["rejected"])

    def processed() -> dict[str, float]:
        told = stack.metrics()
        assert told is not None
        return {
            result: told.total("leadpulse_events_total", result=result)
            for result in ("scored", "duplicate", "dead")
        }

    wait_until(
        lambda: sum(processed().values()) >= accepted, SECONDS, "all to be processed"
    )

    assert accepted > 0
    assert sum(processed().values()) == accepted
    assert processed()["dead"] == 0
    told = stack.metrics()
    assert told is not None
    assert told.total("leadpulse_dead_letters_total", stage="collector") == rejected
