"""When scores come out: how long there was no service after a fault."""

import threading
import time

from confluent_kafka import Consumer, TopicPartition

from schemas.topics import LEAD_STATE
from streams.settings import Settings
from streams.state_records import OWNER_KEY
from streams.topics_admin import connect
from tests.waiting import wait_until

SERVED_SECONDS = 30.0
"""Within which every partition is served again, whatever happened."""


def now() -> int:
    """Return the instant by which records are stamped."""
    return time.time_ns() // 1_000_000


class Watch:
    """Notes, for each partition, when the first event after an instant was scored.

    Every event that is scored moves its lead's state. Updates would not do: a lead that
    has reached its caps is told nothing new.
    """

    def __init__(self, settings: Settings) -> None:
        """Follow the states of a deployment from their beginning."""
        self._settings = settings
        self._mark = 0
        self._first: dict[int, int] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seen = 0
        connect(settings)  # it answers, or says why not

    def start(self) -> "Watch":
        """Follow in the background."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Follow no more."""
        self._stop.set()
        self._thread.join(30)

    def mark(self) -> int:
        """Begin to measure from now on."""
        with self._lock:
            self._mark = now()
            self._first = {}
            return self._mark

    def served(self) -> bool:
        """Say whether every partition has had an event scored since the mark."""
        with self._lock:
            return len(self._first) == self._settings.partitions

    def wait_served(self, why: str) -> float:
        """Return after how many seconds the last partition had its first score."""
        wait_until(self.served, SERVED_SECONDS, f"scores on every partition, {why}")
        with self._lock:
            return (max(self._first.values()) - self._mark) / 1_000

    def _run(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._settings.bootstrap,
                "group.id": "chaos-watch",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        topic = self._settings.topic(LEAD_STATE.name)
        consumer.assign(
            [
                TopicPartition(topic, each, 0)
                for each in range(self._settings.partitions)
            ]
        )
        while not self._stop.is_set():
            for message in consumer.consume(500, 0.1):
                if message.error() is None and message.key() != OWNER_KEY:
                    self._note(message.partition() or 0, message.timestamp()[1])
        consumer.close()

    def _note(self, partition: int, at: int) -> None:
        self.seen += 1
        with self._lock:
            if at > self._mark:
                self._first.setdefault(partition, at)
