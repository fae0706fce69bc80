"""When scores come out: how long there was no service after a fault."""

import threading
import time
from collections.abc import Callable

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


class NoMoreEventsError(Exception):
    """Nothing is left to be scored, so nobody can be seen to score."""


class Since:
    """When each partition had its first event scored after an instant."""

    def __init__(self, partitions: int) -> None:
        """Begin to measure now."""
        self.at = now()
        self._partitions = partitions
        self._first: dict[int, int] = {}

    def note(self, partition: int, at: int) -> None:
        """Hear that an event of a partition was scored."""
        if at > self.at:
            self._first.setdefault(partition, at)

    def served(self) -> bool:
        """Say whether every partition has had an event scored."""
        return len(self._first) == self._partitions

    def seconds(self) -> float:
        """Return how long it took until the last partition had its first score."""
        return (max(self._first.values()) - self.at) / 1_000


class Watch:
    """Notes, for each partition, when the first event after an instant was scored.

    Every event that is scored moves its lead's state. Updates would not do: a lead that
    has reached its caps is told nothing new.
    """

    def __init__(self, settings: Settings, is_over: Callable[[], bool]) -> None:
        """Follow the states of a deployment from their beginning.

        Once it `is_over` no events come any more.
        """
        self._settings = settings
        self._is_over = is_over
        self._waiting: list[Since] = []
        self._last = Since(settings.partitions)
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

    def since(self) -> Since:
        """Begin to measure from now on, beside others who do."""
        begun = Since(self._settings.partitions)
        with self._lock:
            self._waiting = [each for each in self._waiting if not each.served()]
            self._waiting.append(begun)
        return begun

    def mark(self) -> int:
        """Begin to measure from now on, for `wait_served`."""
        self._last = self.since()
        return self._last.at

    def wait_served(self, why: str) -> float:
        """Return after how many seconds the last partition had its first score.

        Raises
        ------
        NoMoreEventsError
            When the feed has ended meanwhile.
        """
        last = self._last
        wait_until(
            lambda: last.served() or self._is_over(),
            SERVED_SECONDS,
            f"scores on every partition, {why}",
        )
        if not last.served():
            raise NoMoreEventsError
        return last.seconds()

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
            for begun in self._waiting:
                begun.note(partition, at)
