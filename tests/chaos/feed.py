"""What comes in: events that count when Kafka has them, and rubbish among them."""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from schemas.event import Channel, Event
from schemas.time import SECOND, to_datetime
from schemas.topics import EVENT_TOPICS, topic_for
from scorers.identity import derive_lead_id
from scorers.masses import hash64
from streams.settings import Settings

_KINDS: tuple[tuple[Channel, str, dict[str, Any]], ...] = (
    ("web", "Offer Clicked", {"offer": "trial"}),
    ("web", "Demo Requested", {}),
    ("web", "Form Submitted", {"form": "contact"}),
    ("email", "Email Opened", {"email_id": "m1"}),
    ("email", "Email Link Clicked", {"email_id": "m1"}),
    ("social", "Post Liked", {"post_id": "p1"}),
    ("crm", "Meeting Held", {}),
)
_RUBBISH = (
    b"{",
    b"\xff\xfe",
    b"[]",
    b"null",
    b'{"id": 1e308}',
    b'{"id": "x", "type": "track", "channel": "web", "name": NaN}',
    b"x" * 100_000,
)
_DOUBLED = 0.03
_POISONED = 0.002
_WINDOW = 20
"""Events are shuffled among so many: later ones overtake earlier ones."""
_BURST_SECONDS = 0.1
_SURGE = 0.02
"""How often a burst is a surge."""
_SURGES = 10
"""How many bursts' events come at once in a surge."""
_VIEWS = 40
"""Pages that a visitor looks at, more or less."""


@dataclass
class Accepted:
    """What Kafka has acknowledged, as whoever counts must find it again."""

    ids: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Of every lead, the events."""
    rubbish: set[tuple[str, int, int]] = field(default_factory=set)
    """Topic, partition and offset of what is no event."""
    records: int = 0
    events: int = 0
    doubles: int = 0
    failed: list[str] = field(default_factory=list)


class Feed:
    """Keeps events coming from a seed, at a pace, until there are enough."""

    def __init__(
        self,
        settings: Settings,
        *,
        seed: int,
        leads: int,
        rate: int,
        most: int,
        visitors: float = 0.0,
    ) -> None:
        """Plan events of `leads` people, `rate` a second, `most` in all.

        Of the events `visitors` are pages that people looked at of whom nothing else
        is known: a share from 0 to 1, in surges, for who sends many has such.
        """
        self._settings = settings
        self._chance = random.Random(seed)
        self._seed, self._leads, self._rate, self._most = seed, leads, rate, most
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._visitors = visitors
        self._number = 0
        self._recent: list[Event] = []
        self.poison = 0
        """Pieces of rubbish to put in next."""
        self.accepted = Accepted()
        self._producer = Producer(
            {
                "bootstrap.servers": settings.bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "message.timeout.ms": 600_000,
                "reconnect.backoff.max.ms": 1_000,
                "queue.buffering.max.messages": 1_000_000,
                "log_level": 0,
            }
        )

    def start(self) -> "Feed":
        """Send in the background."""
        self._thread.start()
        return self

    @property
    def is_done(self) -> bool:
        """Whether all that was planned has been given to Kafka's client."""
        return not self._thread.is_alive()

    def finish(self) -> Accepted:
        """Stop; return what was accepted once Kafka has answered for everything."""
        self._stop.set()
        self._thread.join(60)
        assert self._producer.flush(300) == 0, "Kafka did not take everything"
        assert not self.accepted.failed, self.accepted.failed[:3]
        return self.accepted

    def _run(self) -> None:
        while not self._stop.is_set() and self._number < self._most:
            started = time.monotonic()
            count = max(1, int(self._rate * _BURST_SECONDS))
            if self._visitors and self._chance.random() < _SURGE:
                count *= _SURGES
            batch = self._burst(count)
            for start in range(0, len(batch), _WINDOW):
                some = batch[start : start + _WINDOW]
                self._chance.shuffle(some)
                for event in some:
                    self._send(event)
            for _ in range(self.poison):
                self._send_rubbish()
            self.poison = 0
            self._producer.poll(0)
            self._stop.wait(max(0.0, started + _BURST_SECONDS - time.monotonic()))

    def _burst(self, count: int) -> list[Event]:
        now = time.time_ns() // 1_000_000
        batch = []
        for _ in range(count):
            if self._recent and self._chance.random() < _DOUBLED:
                # As a tracker that heard no answer would: the same id, received later.
                again = self._chance.choice(self._recent)
                batch.append(
                    msgspec.structs.replace(again, received_at=to_datetime(now))
                )
                self.accepted.doubles += 1
                continue
            if self._chance.random() < _POISONED:
                self.poison += 1
            batch.append(self._event(now))
        self._recent = (self._recent + batch)[-5_000:]
        return batch

    def _event(self, now: int) -> Event:
        self._number += 1
        if self._visitors and self._chance.random() < self._visitors:
            return self._view(now)
        channel, name, properties = self._chance.choice(_KINDS)
        return Event(
            id=f"{self._seed}-{self._number}",
            type="track",
            channel=channel,
            name=name,
            user_id=f"user-{self._chance.randrange(self._leads)}",
            properties=properties,
            occurred_at=to_datetime(now - self._chance.randrange(30) * SECOND),
            received_at=to_datetime(now),
            source="test",
        )

    def _view(self, now: int) -> Event:
        """Return a page that one of the latest visitors looked at."""
        visitor = self._number // (_VIEWS * 50) * 50 + self._chance.randrange(50)
        return Event(
            id=f"{self._seed}-{self._number}",
            type="page",
            channel="web",
            name="Pricing",
            anonymous_id=f"visitor-{visitor}",
            properties={"url": "https://example.com/pricing"},
            occurred_at=to_datetime(now),
            received_at=to_datetime(now),
            source="test",
        )

    def _send(self, event: Event) -> None:
        lead_id = derive_lead_id(event)
        assert lead_id is not None

        def counted() -> None:
            self.accepted.ids[lead_id].add(hash64(event.id))
            self.accepted.events += 1

        self._produce(
            self._settings.topic(topic_for(event).name),
            msgspec.json.encode(event),
            lead_id.encode(),
            lambda _: counted(),
        )

    def _send_rubbish(self) -> None:
        def noted(message: Message) -> None:
            where = message.topic(), message.partition(), message.offset()
            assert None not in where
            self.accepted.rubbish.add(where)  # type: ignore[arg-type]

        topic = self._settings.topic(self._chance.choice(EVENT_TOPICS).name)
        key = f"ld_{self._chance.randrange(1_000_000)}".encode()
        self._produce(topic, self._chance.choice(_RUBBISH), key, noted)

    def _produce(
        self, topic: str, value: bytes, key: bytes, then: Callable[[Message], None]
    ) -> None:
        def answered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self.accepted.failed.append(error.str())
                return
            self.accepted.records += 1
            then(message)

        self._producer.produce(topic, value, key, on_delivery=answered)
