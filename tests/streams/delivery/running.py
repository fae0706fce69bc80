"""A delivery app that runs in a thread, and topics to feed it."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Producer

from schemas.alert import Alert
from schemas.delivery import Delivery, DeliveryRecord
from schemas.event import Event
from schemas.topics import CRM_EVENTS, DELIVERIES, NOTIFICATIONS
from scorers.identity import derive_lead_id
from streams.delivery.app import DeliveryApp
from streams.delivery.files import read_delivery
from streams.partitioner import partition_of
from streams.settings import Settings
from streams.topic_reader import read_topic
from tests.waiting import wait_until


def with_file(settings: Settings, folder: Path, text: str, **secrets: str) -> Settings:
    """Return `settings` with a delivery file of `text`."""
    path = folder / "delivery.yaml"
    path.write_text(text, "utf-8")
    given = {**settings.model_dump(), "delivery_path": path}
    return Settings.model_validate({**given, "delivery_secrets": secrets})


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[DeliveryApp]:
    """Run the app until the end of the block."""
    stop = threading.Event()
    app = DeliveryApp(settings, read_delivery(settings), stop)
    problems: list[BaseException] = []

    def run() -> None:
        try:
            app.run()
        except BaseException as problem:  # noqa: BLE001 - raised below
            problems.append(problem)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: problems or app.trouble() is None, within=20)
        yield app
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
        if problems:
            raise problems[0]


def put(settings: Settings, *things: Alert | Event) -> None:
    """Put alerts and events on their topics, on the partitions of their keys."""
    producer = Producer(
        {
            "bootstrap.servers": settings.bootstrap,
            "linger.ms": 5,
            "enable.idempotence": True,  # or what is sent again comes out of order
        }
    )
    for thing in things:
        topic, key = CRM_EVENTS.name, ""
        if isinstance(thing, Alert):
            topic, key = NOTIFICATIONS.name, thing.subject
        else:
            key = derive_lead_id(thing) or ""
        producer.produce(
            settings.topic(topic),
            msgspec.json.encode(thing),
            key.encode(),
            partition=partition_of(key.encode(), settings.partitions),
        )
        producer.poll(0)
    assert producer.flush(30) == 0


def journal(settings: Settings) -> dict[str, Delivery]:
    """Return how it stands with each alert at each target, by its record's key."""
    known: dict[str, Delivery] = {}
    decode = msgspec.json.Decoder(DeliveryRecord).decode
    for record in read_topic(settings, settings.topic(DELIVERIES.name)):
        key = (record.key() or b"").decode()
        value = record.value()
        found: Any = None if value is None else decode(value)
        if isinstance(found, Delivery):
            known[key] = found
        else:
            known.pop(key, None)
    return known


def standings(settings: Settings, target: str) -> dict[str, str]:
    """Return how it stands with alerts at one target, by alert id."""
    return {
        each.alert.id: each.standing
        for each in journal(settings).values()
        if each.target == target
    }


def in_order(keys: Sequence[str], wanted: Sequence[str]) -> bool:
    """Say whether `wanted` came first in this order, whatever came twice."""
    first = list(dict.fromkeys(keys))
    return [each for each in first if each in set(wanted)] == list(wanted)
