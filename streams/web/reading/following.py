"""Following topics from their beginning on, for pages that add up what was told.

Nothing is joined and nothing committed: whoever starts reads again, and what is read
is kept in memory, small, by the books that ask for it.
"""

import threading
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from schemas.topics import Topic
from streams.kafka_access import client_config

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

    from streams.settings import Settings

_BATCH: Final = 1_000
_POLL_SECONDS: Final = 0.2
_AGAIN_SECONDS: Final = 3.0
_ANSWER_SECONDS: Final = 10.0

_log = structlog.get_logger(__name__)


class Book(Protocol):
    """Keeps what a page needs of some topics."""

    @property
    def topics(self) -> Collection[Topic]:
        """What it reads."""
        ...

    def take(self, topic: Topic, key: str, value: bytes | None) -> None:
        """Take in a record; None is a tombstone."""
        ...


class Follower:
    """One thread that reads topics and hands each record to the books that ask."""

    def __init__(self, settings: "Settings", books: Iterable[Book]) -> None:
        """Read from the broker of `settings`; nothing begins before `start`."""
        self._settings = settings
        self._books: dict[str, list[tuple[Topic, Book]]] = {}
        for book in books:
            for topic in book.topics:
                name = settings.topic(topic.name)
                self._books.setdefault(name, []).append((topic, book))
        self._stop = threading.Event()
        self._unread: set[tuple[str, int]] = set()
        self._began = False
        self.trouble = ""
        """Why nothing is heard just now; empty while all is well."""
        self._thread = threading.Thread(
            target=self._run, name="web-follower", daemon=True
        )

    @property
    def has_read_all(self) -> bool:
        """Whether everything that was there at the start has been taken in."""
        return self._began and not self._unread

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Return when the thread has ended; it may be called without a start."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except Exception as error:  # noqa: BLE001 - pages live on without it
                self.trouble = str(error)
                _log.warning("not_followed", error=str(error))
                self._stop.wait(_AGAIN_SECONDS)

    def _follow(self) -> None:
        from confluent_kafka import KafkaError  # noqa: PLC0415 - loads librdkafka

        consumer = self._connected()
        try:
            while not self._stop.is_set():
                for message in consumer.consume(_BATCH, _POLL_SECONDS):
                    error = message.error()
                    if error is None:
                        self._hand(message)
                        self.trouble = ""
                    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                        place = message.topic() or "", message.partition() or 0
                        self._unread.discard(place)
                        self.trouble = ""
                    elif not error.retriable():
                        self.trouble = error.str()
        finally:
            consumer.close()

    def _connected(self) -> "Consumer":
        """Return a consumer of every partition, each from its beginning."""
        from confluent_kafka import (  # noqa: PLC0415 - loads librdkafka
            OFFSET_BEGINNING,
            Consumer,
            TopicPartition,
        )

        consumer = Consumer(
            {
                **client_config(self._settings),
                # Required by the client; nothing is joined or committed.
                "group.id": f"{self._settings.app_id}.web",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "allow.auto.create.topics": False,
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": 16_384,
                "log_level": 0,
            }
        )
        found = consumer.list_topics(timeout=_ANSWER_SECONDS).topics
        places = [
            (name, number)
            for name in self._books
            if name in found
            for number in found[name].partitions
        ]
        if len({name for name, _ in places}) < len(self._books):
            consumer.close()
            missing = sorted(set(self._books) - {name for name, _ in places})
            msg = f"{', '.join(missing)} is missing; run `leadpulse topics create`"
            raise LookupError(msg)
        if not self._began:
            self._unread = set(places)
            self._began = True
        consumer.assign([TopicPartition(*each, OFFSET_BEGINNING) for each in places])
        return consumer

    def _hand(self, message: "Message") -> None:
        name = (message.key() or b"").decode(errors="replace")
        value = message.value()
        for topic, book in self._books[message.topic() or ""]:
            book.take(topic, name, value)
