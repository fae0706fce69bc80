"""What the demo sees: it reads the topics as any other consumer would."""

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from schemas.alert import Alert
from schemas.dead_letter import HEADER_REASON
from schemas.score import ScoreUpdate
from schemas.time import Instant, to_instant
from schemas.topics import DEAD_LETTERS, EVENT_TOPICS, NOTIFICATIONS, SCORE_UPDATES
from streams.clock import Clock
from streams.kafka_access import client_config
from streams.settings import Settings

_LATEST: Final = 12
_POLL_SECONDS: Final = 0.1
_BATCH: Final = 500

_update: Final = msgspec.json.Decoder(ScoreUpdate).decode
_alert: Final = msgspec.json.Decoder(Alert).decode


@dataclass(slots=True)
class Seen:
    """Everything that came by on the topics."""

    recorded: list[bytes] = field(default_factory=list)
    """Every event as it stood on its topic: the stream that can be replayed."""
    dead_letters: Counter[str] = field(default_factory=Counter)
    updates: int = 0
    latest: dict[str, ScoreUpdate] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    newest_alerts: deque[Alert] = field(default_factory=lambda: deque(maxlen=_LATEST))
    effects: dict[str, float] = field(default_factory=dict)
    """By event id: how much the score of its lead moved with it."""
    score_seconds: list[float] = field(default_factory=list)
    """Real seconds from the receipt of an event until its update was seen."""
    alert_seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Promises of the topics that were broken."""


class Observer(threading.Thread):
    """Reads every topic from its beginning and keeps what it saw."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Read the topics that `settings` names, with `clock` telling real spans."""
        super().__init__(name="observer", daemon=True)
        self.seen = Seen()
        self.lock = threading.Lock()
        """Held while something is added: take it to read more than one figure."""
        self.problem: Exception | None = None
        self._quiet_since = time.monotonic()
        self._clock = clock
        self._stop_asked = threading.Event()
        self._raw_alerts: dict[str, bytes] = {}
        self._kinds = {
            settings.topic(topic.name): topic
            for topic in (*EVENT_TOPICS, SCORE_UPDATES, NOTIFICATIONS, DEAD_LETTERS)
        }
        # No group: nobody shares this reading, and joining takes seconds.
        self._consumer = Consumer(
            {
                **client_config(settings),
                "group.id": f"{settings.app_id}.demo",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 10,
            }
        )

    @property
    def quiet_seconds(self) -> float:
        """How long nothing has come by."""
        return time.monotonic() - self._quiet_since

    def run(self) -> None:
        """Read until asked to stop."""
        try:
            known = self._consumer.list_topics(timeout=10).topics
            self._consumer.assign(
                [
                    TopicPartition(topic, partition, OFFSET_BEGINNING)
                    for topic in self._kinds
                    for partition in known[topic].partitions
                ]
            )
            while not self._stop_asked.is_set():
                first = self._consumer.poll(_POLL_SECONDS)
                if first is not None:
                    self._take([first, *self._consumer.consume(_BATCH, timeout=0)])
        except Exception as problem:  # noqa: BLE001 - raised again by whoever waits
            self.problem = problem
        finally:
            self._consumer.close()

    def stop(self) -> None:
        """Stop reading."""
        self._stop_asked.set()
        self.join()

    def _take(self, messages: list[Message]) -> None:
        with self.lock:
            for message in messages:
                if message.error() is None:
                    self._quiet_since = time.monotonic()
                    self._note(message)

    def _note(self, message: Message) -> None:
        raw = message.value() or b""
        topic = self._kinds[message.topic() or ""]
        if topic is SCORE_UPDATES:
            self._note_update(_update(raw))
        elif topic is NOTIFICATIONS:
            self._note_alert(_alert(raw), raw)
        elif topic is DEAD_LETTERS:
            headers = dict(message.headers() or ())
            reason = headers.get(HEADER_REASON) or b"untold"
            told = reason.decode() if isinstance(reason, bytes) else reason
            self.seen.dead_letters[told] += 1
        else:
            self.seen.recorded.append(raw)

    def _note_update(self, update: ScoreUpdate) -> None:
        seen, before = self.seen, self.seen.latest.get(update.lead_id)
        expected = 1 if before is None else before.sequence + 1
        if update.sequence > expected:
            gap = f"{update.lead_id}: {update.sequence} came instead of {expected}"
            seen.faults.append(f"a gap in a lead's sequence: {gap}")
        if update.sequence < expected:
            return  # a repetition, as every consumer must expect
        seen.updates += 1
        seen.latest[update.lead_id] = update
        if update.cause.kind == "event" and update.cause.event_id is not None:
            seen.effects[update.cause.event_id] = update.delta
            seen.score_seconds.append(self._since(to_instant(update.as_of)))

    def _note_alert(self, alert: Alert, raw: bytes) -> None:
        seen = self.seen
        if alert.id in seen.alerts:
            if self._raw_alerts[alert.id] != raw:
                fault = f"an alert id came twice with different content: {alert.id}"
                seen.faults.append(fault)
            return
        self._raw_alerts[alert.id] = raw
        seen.alerts[alert.id] = alert
        seen.newest_alerts.appendleft(alert)
        if alert.event_id is not None:
            seen.alert_seconds.append(self._since(to_instant(alert.decided_at)))

    def _since(self, instant: Instant) -> float:
        return self._clock.seconds_since(instant)


def percentile(seconds: list[float], share: float) -> float | None:
    """Return the value that `share` of the sample does not exceed; None if empty."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
