"""A real worker in a process of its own, what it is fed, and what it must answer."""

import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Message, Producer

from schemas.event import Channel, Event
from schemas.score import ScoreUpdate
from schemas.time import MINUTE, SECOND, Instant, to_datetime
from schemas.topics import EVENT_TOPICS, LEAD_STATE, SCORE_UPDATES, Topic, topic_for
from scorers.compiled import CompiledModel
from scorers.identity import derive_lead_id
from scorers.masses import hash64
from scorers.scorer import on_event, read
from scorers.state import LeadState
from streams.kafka_access import client_config
from streams.model_files import read_model
from streams.partitioner import partition_of
from streams.processes import free_port
from streams.rebuilding import Rebuilt
from streams.settings import Settings
from streams.state_groups import positions_of
from streams.state_records import OWNER_KEY
from streams.tables import Lead
from streams.topic_reader import read_topic
from tests.waiting import PATIENCE, wait_until

MODEL = read_model(None)

_KINDS: tuple[tuple[Channel, str, dict[str, Any]], ...] = (
    ("web", "Offer Clicked", {"offer": "trial"}),
    ("web", "Demo Requested", {}),
    ("web", "Form Submitted", {"form": "contact"}),
    ("email", "Email Opened", {"email_id": "m1"}),
    ("email", "Email Link Clicked", {"email_id": "m1"}),
    ("social", "Post Liked", {"post_id": "p1"}),
    ("crm", "Meeting Held", {}),
)


def make_events(
    count: int, leads: int, *, seed: int = 1, now: Instant | None = None
) -> list[Event]:
    """Plausible events of the last half hour, in the order of their receipt."""
    chance = random.Random(seed)
    end = now or time.time_ns() // 1_000_000
    step = 25 * MINUTE // count
    events = []
    for number in range(count):
        received = end - (count - number) * step
        channel, name, properties = chance.choice(_KINDS)
        events.append(
            Event(
                id=f"{seed}-{number}",
                type="track",
                channel=channel,
                name=name,
                user_id=f"user-{chance.randrange(leads)}",
                properties=properties,
                occurred_at=to_datetime(received - chance.randrange(30) * SECOND),
                received_at=to_datetime(received),
                source="test",
            )
        )
    return events


def produce(
    settings: Settings, events: Iterable[Event], *, rate: float | None = None
) -> None:
    """Put events on their topics as the collector would, `rate` a second."""
    producer = Producer(
        {
            **client_config(settings),
            "partitioner": "murmur2_random",
            "linger.ms": 0,
        }
    )
    for event in events:
        lead_id = derive_lead_id(event)
        assert lead_id is not None
        producer.produce(
            settings.topic(topic_for(event).name),
            msgspec.json.encode(event),
            lead_id.encode(),
            headers=[("traceparent", f"00-{event.id}".encode())],
        )
        if rate is not None:
            producer.poll(1 / rate)
    assert producer.flush(30) == 0


def put_raw(
    settings: Settings,
    topic: Topic,
    value: bytes | None,
    *,
    key: bytes | None = None,
    partition: int = -1,
    headers: Sequence[tuple[str, bytes]] = (),
) -> None:
    """Put bytes on a topic as anybody could."""
    producer = Producer({**client_config(settings), "partitioner": "murmur2_random"})
    producer.produce(
        settings.topic(topic.name), value, key, partition, headers=list(headers)
    )
    assert producer.flush(30) == 0


def read_all(settings: Settings, topic: Topic) -> list[Message]:
    """Return every record of a topic, in order within a partition."""
    return list(read_topic(settings, settings.topic(topic.name)))


def committed(settings: Settings, topics: Iterable[Topic] = EVENT_TOPICS) -> int:
    """Return how many records of `topics` the workers have acknowledged."""
    return sum(positions(settings, topics).values())


def positions(
    settings: Settings, topics: Iterable[Topic]
) -> dict[tuple[str, int], int]:
    """Return how far the workers have acknowledged each partition of `topics`."""
    return positions_of(settings, topics, settings.partitions)


@dataclass
class WorkerProcess:
    """`leadpulse worker`, to be stopped, killed and paused."""

    settings: Settings
    log: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = ("-m", "streams.cli.main")
    process: subprocess.Popen[bytes] | None = None
    port: int = 0

    def start(self) -> "WorkerProcess":
        """Run it; returns at once."""
        self.port = free_port()
        settings = self.settings.model_copy(update={"metrics_port": self.port})
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.command, "worker"],
                env={**os.environ, **settings.environ(), **self.environ},
                stdout=log,
                stderr=log,
            )
        return self

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a page of its metrics server; 0 if it is away."""
        try:
            url = f"http://127.0.0.1:{self.port}{path}"
            with urllib.request.urlopen(url, timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def figure(self, line: str) -> float:
        """Return a figure of its metrics, 0 if it is not there yet."""
        found = [
            each
            for each in self.get("/metrics")[1].splitlines()
            if each.startswith(line)
        ]
        return float(found[0].rsplit(" ", 1)[1]) if found else 0.0

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.tail()
        return self.get("/readyz")[0] == 200

    def wait_ready(self, within: float = 30.0) -> None:
        try:
            wait_until(self.is_ready, within, "the worker to be ready")
        except AssertionError as error:
            story = f"{error}\n{self.get('/readyz')}\n{self.tail()}"
            raise AssertionError(story) from None

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as the kernel would when memory runs out."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10 * PATIENCE)

    def stop(self, within: float = 10.0) -> int:
        """Ask it to stop; return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(within * PATIENCE)

    def wait(self, within: float = 30.0) -> int:
        assert self.process is not None
        return self.process.wait(within * PATIENCE)

    def tail(self) -> str:
        return self.log.read_text("utf-8")[-4000:]

    def end(self) -> None:
        """Leave nothing behind."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10 * PATIENCE)


def fold(events: Iterable[Event], model: CompiledModel = MODEL) -> dict[str, LeadState]:
    """Return the states that the events lead to, without any broker."""
    states: dict[str, LeadState] = {}
    for event in events:
        lead_id = derive_lead_id(event)
        assert lead_id is not None
        step = on_event(model, states.get(lead_id), event, event.now)
        states[lead_id] = step.state
    return states


def stored_states(settings: Settings) -> dict[str, LeadState]:
    """Return the leads that the changelog holds, as a new owner would read them."""
    stored = stored_with_redirects(settings)
    return {key: state for key, state in stored.items() if not state.claims}


def stored_with_redirects(settings: Settings) -> dict[str, LeadState]:
    """Return the leads of the changelog, and those that are part of another one."""
    rebuilt = {each: Rebuilt(each, 0, "") for each in range(settings.partitions)}
    for message in read_topic(settings, settings.topic(LEAD_STATE.name)):
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        rebuilt[partition].apply(message.key(), message.value(), offset)
    found: dict[str, LeadState] = {}
    for each in rebuilt.values():
        for lead_id, lead in each.kept(Lead).items():
            assert partition_of(lead_id.encode(), settings.partitions) == each.partition
            found[lead_id] = lead.state
    return found


def check_exact(settings: Settings, events: Sequence[Event]) -> None:
    """Assert that every event counts once, whatever happened on the way.

    The changelog's states know exactly the events of their lead and score what a
    fold in this process scores; updates are gapless, and a repeated one is the same
    to the byte.
    """
    expected = fold(events)
    found = stored_states(settings)
    assert found.keys() == expected.keys()
    ids: dict[str, set[int]] = defaultdict(set)
    for event in events:
        ids[derive_lead_id(event) or ""].add(hash64(event.id))
    at = time.time_ns() // 1_000_000 + MINUTE
    for lead_id, state in expected.items():
        assert set(found[lead_id].ids) == ids[lead_id], f"{lead_id} lost or made up"
        want, have = read(MODEL, state, at), read(MODEL, found[lead_id], at)
        assert abs(want.exact - have.exact) < 1e-9, (lead_id, want, have)
    check_updates(settings, found)


def check_updates(settings: Settings, states: Mapping[str, LeadState]) -> None:
    """Assert that updates are numbered without gaps and repeated word for word."""
    by_lead: dict[str, dict[int, bytes]] = defaultdict(dict)
    for message in read_all(settings, SCORE_UPDATES):
        value, key = message.value(), message.key()
        assert value is not None
        update = msgspec.json.decode(value, type=ScoreUpdate)
        assert key == update.lead_id.encode()
        first = by_lead[update.lead_id].setdefault(update.sequence, value)
        assert first == value, f"{update.lead_id}:{update.sequence} told twice"
    for lead_id, updates in by_lead.items():
        assert sorted(updates) == list(range(1, len(updates) + 1)), lead_id
        assert len(updates) == states[lead_id].sequence
        last = msgspec.json.decode(updates[len(updates)], type=ScoreUpdate)
        assert last.score == states[lead_id].score
    silent = {each for each, state in states.items() if state.sequence == 0}
    assert by_lead.keys() | silent == states.keys()


def owners(settings: Settings) -> int:
    """Return how often a worker took a changelog partition over."""
    return sum(each.key() == OWNER_KEY for each in read_all(settings, LEAD_STATE))
